import Accounting
import Basics
import CLinux
import Fuse
import Serving
import Storage

/// The private tmpfs of an engine that has one: made, and tried out, once at the start.
enum EngineTmpfs {
    /// What a choice of huge pages is written as. `auto` takes them where they cost nothing that nobody
    /// wrote.
    enum HugePages: String, CaseIterable, Sendable {
        case auto
        case never
        case withinSize = "within_size"
    }

    /// Descriptors that are kept at the most; half of what a process may have, where that is less.
    private static let descriptorsLimit = 4096

    /// The tmpfs, or nil for an engine without one.
    ///
    /// Throws what is missing: the kernel's part, the capability, or the initial user namespace.
    static func make(for configuration: Configuration) throws(Failure) -> PrivateTmpfs? {
        guard configuration.engine.usesTmpfs else { return nil }
        do throws(Errno) {
            let descriptors = min(descriptorsLimit, max(8, Int(linux_lift_file_limits()) / 2))
            let tmpfs = try PrivateTmpfs(
                bytes: configuration.limits.bytes, huge: try hugePages(configuration.hugePages),
                descriptors: descriptors)
            try tmpfs.withSpareFile { (file) throws(Errno) in try Passthrough.probe(with: file) }
            return tmpfs
        } catch {
            throw Failure(
                .mountFailed,
                "--io: engine '\(configuration.engine.rawValue)' cannot be had: \(reason(error)): "
                    + "use 'memory' or 'auto'")
        }
    }

    private static func hugePages(_ choice: HugePages) throws(Errno) -> PrivateTmpfs.Huge {
        switch choice {
        case .never: .never
        case .withinSize: .withinSize
        case .auto: try PrivateTmpfs.takesExactHugePages() ? .withinSize : .never
        }
    }

    private static func reason(_ error: Errno) -> String {
        switch error {
        case .notPermitted, .permissionDenied:
            return ProcessPrivileges().isInFirstUserNamespace
                ? "it needs root with the capability CAP_SYS_ADMIN"
                : "it needs root of the initial user namespace, and this process is in another one"
        case .notSupportedOnSocket, .noFunction, .inappropriateIOCTLForDevice:
            return "the kernel has no FUSE passthrough (Linux 6.9 and later, with CONFIG_FUSE_PASSTHROUGH)"
        default:
            return Wording.of(error)
        }
    }
}
