import Basics
import Glibc

/// What this process may do, as /proc tells it.
struct ProcessPrivileges {
    /// Whether it has CAP_SYS_ADMIN.
    private(set) var canAdministrate = false
    /// Whether a seccomp filter looks at its system calls.
    private(set) var isFiltered = false
    /// Whether setuid programs give it nothing.
    private(set) var gainsNothing = false
    private(set) var isInFirstUserNamespace = false
    /// The name of the AppArmor profile, or of the SELinux context, that confines it; nil where none does.
    private(set) var profile: String?

    private static let administrate = 21  // CAP_SYS_ADMIN

    init() {
        for line in Files.lines(of: "/proc/self/status") {
            let fields = line.split(separator: "\t")
            guard fields.count == 2 else { continue }
            switch fields[0] {
            case "CapEff:":
                canAdministrate = (UInt64(fields[1], radix: 16) ?? 0) >> Self.administrate & 1 == 1
            case "Seccomp:": isFiltered = fields[1] != "0"
            case "NoNewPrivs:": gainsNothing = fields[1] != "0"
            default: break
            }
        }
        let map = Files.firstLine(of: "/proc/self/uid_map")?.split(separator: " ") ?? []
        isInFirstUserNamespace = map == ["0", "0", "4294967295"]
        let label = Files.firstLine(of: "/proc/self/attr/current")?.filter { $0 != "\0" } ?? ""
        profile = label.isEmpty || label.hasPrefix("unconfined") ? nil : label
    }
}

/// Programs of the system, found as a shell finds them.
enum Programs {
    static func find(_ name: String) -> String? {
        let path = Files.environment("PATH") ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first(where: isExecutable)
    }

    static func isExecutable(_ path: String) -> Bool {
        unsafe access(path, X_OK) == 0
    }

    /// Whether who runs `path` becomes root: it is root's, setuid, and on a mount that honours that.
    static func isSetuidRoot(_ path: String) -> Bool {
        var status = stat()
        var filesystem = statvfs()
        guard unsafe stat(path, &status) == 0, unsafe statvfs(path, &filesystem) == 0 else { return false }
        let ignoresSetuid: UInt = 2  // ST_NOSUID
        return status.st_uid == 0 && status.st_mode & S_ISUID != 0 && filesystem.f_flag & ignoresSetuid == 0
    }
}

/// The running kernel's release.
struct KernelVersion {
    let major: Int
    let minor: Int

    static var current: KernelVersion {
        let release = Files.firstLine(of: "/proc/sys/kernel/osrelease") ?? ""
        let numbers = release.split { !$0.isNumber }.prefix(2).map { Int($0) ?? 0 }
        return KernelVersion(major: numbers.first ?? 0, minor: numbers.count > 1 ? numbers[1] : 0)
    }

    func isAtLeast(_ major: Int, _ minor: Int) -> Bool {
        (self.major, self.minor) >= (major, minor)
    }
}
