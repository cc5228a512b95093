import Basics
import Glibc

/// The door to the kernel's FUSE.
public enum FuseDevice {
    static let path = "/dev/fuse"

    /// Opens the device; throws `.noSuchAddressOrDevice` where something else lies in its place.
    static func probe() throws(Errno) {
        guard try isDevice(path) else { throw .noSuchAddressOrDevice }
        try Files.checkOpens(path)
    }

    private static func isDevice(_ path: String) throws(Errno) -> Bool {
        try Files.isDevice(path, major: 10, minor: 229)
    }

    /// Throws why FUSE cannot be used here, with the remedy.
    public static func check() throws(Failure) {
        do throws(Errno) {
            try probe()
        } catch {
            let remedy =
                switch error {
                case .noSuchFileOrDirectory:
                    "there is no \(path): 'modprobe fuse', or give the container its --device \(path)"
                case .permissionDenied, .notPermitted:
                    "permission denied to open \(path): run as root, or let users open it (chmod 666)"
                case .noSuchAddressOrDevice, Errno(rawValue: ENODEV):
                    "\(path) is not the FUSE device of a kernel that has FUSE: 'modprobe fuse'"
                default: "cannot open \(path): \(Wording.of(error))"
                }
            throw Failure(.mountFailed, remedy)
        }
    }

    /// Why requests cannot come through io_uring, and the remedy; nil where nothing speaks against it.
    static func whyNoIOUring() -> (says: String, remedy: String)? {
        let parameter = "/sys/module/fuse/parameters/enable_uring"
        guard let setting = Files.firstLine(of: parameter) else {
            return (
                "this kernel has no FUSE over io_uring: there is no \(parameter)",
                "use Linux 6.14 or later with CONFIG_FUSE_IO_URING"
            )
        }
        guard setting == "Y" else {
            return (
                "FUSE over io_uring is off: \(parameter) is \(setting)",
                "'echo Y >\(parameter)' as root, or 'options fuse enable_uring=1' in /etc/modprobe.d"
            )
        }
        let forbidding = Files.firstLine(of: "/proc/sys/kernel/io_uring_disabled") ?? "0"
        guard forbidding == "0" || (forbidding == "1" && geteuid() == 0) else {
            return (
                "this system forbids io_uring: kernel.io_uring_disabled is \(forbidding)",
                "'sysctl -w kernel.io_uring_disabled=0' as root"
            )
        }
        return nil
    }

    /// Throws why requests cannot come through io_uring.
    static func checkIOUring() throws(Failure) {
        guard let reason = whyNoIOUring() else { return }
        throw Failure(.mountFailed, "\(reason.says): \(reason.remedy), or leave io_uring out")
    }

    /// Whether the administrator lets users share their mounts with others.
    static func allowsSharing() -> Bool {
        Files.lines(of: "/etc/fuse.conf").contains("user_allow_other")
    }

    /// Throws where `descriptor` is no FUSE device's, by the name that was given for it.
    static func check(_ descriptor: Int32, named name: String) throws(Failure) {
        do throws(Errno) {
            guard try isDevice("/proc/self/fd/\(descriptor)") else { throw .noSuchAddressOrDevice }
        } catch {
            throw Failure(
                .mountFailed, "\(name) is not a descriptor of \(path): who mounts opens that and hands it on")
        }
    }

    /// The number of the connection that `descriptor` belongs to: the minor number of its mount's device. nil
    /// where the kernel does not tell (before 6.19 or so).
    static func connection(of descriptor: Int32) -> Int? {
        let key = "fuse_connection:"
        let line = Files.lines(of: "/proc/self/fdinfo/\(descriptor)").first { $0.hasPrefix(key) }
        return line.flatMap { Int($0.dropFirst(key.count).drop { $0 == " " || $0 == "\t" }) }
    }
}

/// Errnos in a sentence: the usual English text, first letter small.
enum Wording {
    static func of(_ error: Errno) -> String {
        let text = error.description
        return text.prefix(1).lowercased() + text.dropFirst()
    }

    /// The name that programs know, of the errnos that the limits give.
    static func name(of error: Errno) -> String {
        switch error {
        case .noSpace: "ENOSPC"
        case .diskQuotaExceeded: "EDQUOT"
        case .tooManyOpenFiles: "EMFILE"
        case .notSupportedOnSocket: "EOPNOTSUPP"
        default: "errno \(error.rawValue)"
        }
    }
}
