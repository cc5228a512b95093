public import Basics
import CFuseShim

/// Whether the kernel reads, writes and maps files for us, through files of ours behind them.
public enum Passthrough {
    /// Asks the kernel, with a FUSE filesystem that is mounted nowhere.
    ///
    /// - Parameter descriptor: of an open file that would be such a file.
    /// - Throws: `.notSupportedOnSocket` (EOPNOTSUPP) where the kernel does not offer it, `.notPermitted`
    ///   without CAP_SYS_ADMIN in the initial user namespace, or what else is in the way.
    public static func probe(with descriptor: Int32) throws(Errno) {
        let failure = shim_probe_passthrough(descriptor)
        guard failure == 0 else { throw Errno(rawValue: failure) }
    }
}
