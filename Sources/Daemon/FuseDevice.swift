import Basics
import Glibc

/// The door to the kernel's FUSE.
public enum FuseDevice {
    static let path = "/dev/fuse"

    /// Throws why FUSE cannot be used here, with the remedy.
    public static func check() throws(Failure) {
        do throws(Errno) {
            guard try Files.isDevice(path, major: 10, minor: 229) else { throw .noSuchAddressOrDevice }
            try Files.checkOpens(path)
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

    /// Whether the administrator lets users share their mounts with others.
    static func allowsSharing() -> Bool {
        Files.lines(of: "/etc/fuse.conf").contains("user_allow_other")
    }

    /// Throws where `descriptor` is no FUSE device's, by the name that was given for it.
    static func check(_ descriptor: Int32, named name: String) throws(Failure) {
        do throws(Errno) {
            guard try Files.isDevice("/proc/self/fd/\(descriptor)", major: 10, minor: 229) else {
                throw .noSuchAddressOrDevice
            }
        } catch {
            throw Failure(
                .mountFailed, "\(name) is not a descriptor of \(path): who mounts opens that and hands it on")
        }
    }

    /// The number of the connection that `descriptor` belongs to: the minor number of its mount's device. nil
    /// where the kernel does not tell (before 6.19 or so).
    static func connection(of descriptor: Int32) -> Int? {
        let key = "fuse_connection:"
        do throws(Errno) {
            let lines = try Files.text(of: "/proc/self/fdinfo/\(descriptor)").split(separator: "\n")
            guard let line = lines.first(where: { $0.hasPrefix(key) }) else { return nil }
            return Int(line.dropFirst(key.count).drop { $0 == " " || $0 == "\t" })
        } catch {
            return nil
        }
    }
}

/// Errnos in a sentence: the usual English text, first letter small.
enum Wording {
    static func of(_ error: Errno) -> String {
        let text = error.description
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}
