import Basics
import CLinux
import Glibc

/// Whether FUSE can mount here, and if not, which of the usual causes it is. Everything is tried out where
/// that leaves no trace: in a process and a mount namespace of their own.
public struct FuseCheck: Sendable, Encodable {
    public enum State: String, Sendable, Encodable {
        case good = "ok"
        /// Stands in the way of a mount.
        case failed
        /// Is missing, but not needed for every mount.
        case absent
    }

    public struct Finding: Sendable, Encodable {
        /// A name that does not change: `device`, `device_cgroup`, `capability`, …
        public let check: String
        public let state: State
        public let says: String
        /// What to do; nil where nothing need be done.
        public let remedy: String?
    }

    /// How this process could mount.
    public struct Ways: Sendable, Encodable {
        /// By mount(2) itself.
        public fileprivate(set) var direct = false
        /// Through the setuid program fusermount3.
        public fileprivate(set) var fusermount3 = false
        /// In a user namespace of its own, as `dmemfs run` does.
        public fileprivate(set) var userNamespace = false

        enum CodingKeys: String, CodingKey {
            case direct, fusermount3
            case userNamespace = "user_namespace"
        }
    }

    public private(set) var findings: [Finding] = []
    public private(set) var ways = Ways()

    /// Whether `dmemfs mount` can work.
    public var canMount: Bool { ways.direct || ways.fusermount3 }

    enum CodingKeys: String, CodingKey {
        case findings, ways
        case canMount = "can_mount"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(canMount, forKey: .canMount)
        try container.encode(ways, forKey: .ways)
        try container.encode(findings, forKey: .findings)
    }

    /// Looks. Only while this process has one thread.
    public init() {
        let process = ProcessPrivileges()
        guard checkDevice() else { return }
        ways.direct = checkDirect(process)
        ways.fusermount3 = checkHelper(process)
        ways.userNamespace = checkUserNamespace()
        checkSharing()
        checkEngines(process)
        checkIOUring()
        checkMountHelper()
    }

    private mutating func note(_ check: String, _ state: State, _ says: String, _ remedy: String? = nil) {
        findings.append(Finding(check: check, state: state, says: says, remedy: remedy))
    }

    // MARK: The device

    private mutating func checkDevice() -> Bool {
        let path = FuseDevice.path
        do throws(Errno) {
            try FuseDevice.probe()
            note("device", .good, "\(path) opens")
            return true
        } catch {
            switch error {
            case .noSuchFileOrDirectory:
                note(
                    "device", .failed, "there is no \(path)",
                    "'modprobe fuse' as root; a container needs --device \(path)")
            case .notPermitted:
                note(
                    "device_cgroup", .failed, "the device cgroup forbids to open \(path)",
                    "give the container --device \(path), or the unit DeviceAllow=\(path) rw")
            case .permissionDenied:
                note(
                    "device_mode", .failed, "permission denied to open \(path) as user \(geteuid())",
                    "as root: chmod 666 \(path), as udev does where it runs")
            case .noSuchAddressOrDevice, Errno(rawValue: ENODEV):
                note(
                    "device", .failed, "\(path) is not the FUSE device of a kernel that has FUSE",
                    "'modprobe fuse' as root, or a kernel with CONFIG_FUSE_FS")
            default: note("device", .failed, "cannot open \(path): \(Wording.of(error))")
            }
            return false
        }
    }

    // MARK: mount(2)

    private mutating func checkDirect(_ process: ProcessPrivileges) -> Bool {
        guard process.canAdministrate else {
            guard geteuid() == 0 else { return false }
            note(
                "capability", .failed, "this root has no CAP_SYS_ADMIN, which mount(2) needs",
                "give the container --cap-add SYS_ADMIN")
            return false
        }
        let attempt = linux_try_fuse_mount(0)
        guard attempt.error != 0 else {
            note("mount", .good, "mount(2) mounts FUSE")
            return true
        }
        noteRefusal(attempt, process, of: "mount(2)")
        return false
    }

    /// Why a call that the capabilities would allow was refused.
    private mutating func noteRefusal(
        _ attempt: linux_attempt, _ process: ProcessPrivileges, of what: String
    ) {
        let error = Errno(rawValue: attempt.error)
        let isRefusal = error == .notPermitted || error == .permissionDenied
        if attempt.signal != 0 || (process.isFiltered && error == .notPermitted) {
            note(
                "seccomp", .failed, "a seccomp filter refuses \(what)",
                "run the container with a seccomp profile that allows mount, or with seccomp=unconfined")
        } else if isRefusal, let profile = process.profile {
            note(
                "apparmor", .failed, "the security profile '\(profile)' refuses \(what)",
                "run the container with --security-opt apparmor=unconfined, or allow mounts in that profile")
        } else if error == Errno(rawValue: ENODEV) {
            note("kernel", .failed, "the kernel has no FUSE", "'modprobe fuse' as root")
        } else {
            let cause = isRefusal ? "a security module or the container refuses" : "the kernel fails"
            note(
                "mount", .failed, "\(cause) \(what): \(Wording.of(error))",
                isRefusal ? "look into the kernel's log (dmesg) for a line that says 'denied'" : nil)
        }
    }

    // MARK: Users

    private mutating func checkHelper(_ process: ProcessPrivileges) -> Bool {
        // Root mounts by himself; where he may not, this program may not either.
        let state: State = geteuid() == 0 ? .absent : .failed
        guard let path = Programs.find("fusermount3") else {
            note(
                "fusermount3", state, "there is no fusermount3 in PATH, which users mount through",
                "install the package fuse3")
            return false
        }
        guard Programs.isSetuidRoot(path) else {
            note(
                "fusermount3", state, "\(path) is not setuid root, so that it cannot mount for users",
                "as root: chmod 4755 \(path); or let the one of the package fuse3 come first in PATH")
            return false
        }
        guard !process.gainsNothing || geteuid() == 0 else {
            note(
                "fusermount3", state, "no_new_privs is set, which takes the power from the setuid \(path)",
                "leave NoNewPrivileges= and seccomp settings out of a user's unit")
            return false
        }
        note("fusermount3", .good, "\(path) mounts for users")
        return geteuid() != 0
    }

    private mutating func checkUserNamespace() -> Bool {
        let attempt = linux_try_fuse_mount(1)
        guard attempt.error != 0 else {
            note("user_namespaces", .good, "a user namespace mounts FUSE, for 'dmemfs run'")
            return true
        }
        let settings = [
            ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
            ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
            (
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
                "kernel.apparmor_restrict_unprivileged_userns=0"
            ),
        ]
        for (file, value, remedy) in settings where Files.firstLine(of: file) == value {
            note(
                "user_namespaces", .absent, "\(file) is \(value), so that 'dmemfs run' cannot work for users",
                "as root: sysctl -w \(remedy)")
            return false
        }
        note(
            "user_namespaces", .absent,
            "no FUSE mount in a user namespace (\(Wording.of(Errno(rawValue: attempt.error)))), "
                + "so that 'dmemfs run' cannot work for users",
            "allow user namespaces and mount in the container's seccomp and AppArmor profiles")
        return false
    }

    private mutating func checkSharing() {
        guard !FuseDevice.allowsSharing() else {
            return note("user_allow_other", .good, "users may mount with allow_other")
        }
        note(
            "user_allow_other", .absent, "users may not mount with allow_other",
            "add the line user_allow_other to /etc/fuse.conf as root")
    }

    // MARK: What else there is

    private mutating func checkEngines(_ process: ProcessPrivileges) {
        let what = "the engines strict and passthrough"
        if !KernelVersion.current.isAtLeast(6, 9) {
            note("engines", .absent, "this kernel is too old for \(what)", "use Linux 6.9 or later")
        } else if !process.canAdministrate || !process.isInFirstUserNamespace {
            note(
                "engines", .absent, "\(what) are for root outside of a user namespace",
                "run as the host's root")
        } else {
            note("engines", .good, "the kernel and the privileges suffice for \(what)")
        }
    }

    private mutating func checkIOUring() {
        guard let reason = FuseDevice.whyNoIOUring() else {
            return note("io_uring", .good, "the kernel offers FUSE over io_uring, for --io-uring")
        }
        note("io_uring", .absent, reason.says, reason.remedy)
    }

    private mutating func checkMountHelper() {
        let path = "/sbin/mount.dmemfs"
        guard Programs.isExecutable(path) else {
            return note(
                "mount_helper", .absent, "there is no \(path), which 'mount -t dmemfs' and fstab need",
                "make it a link to this program; 'make install' does")
        }
        note("mount_helper", .good, "'mount -t dmemfs' finds \(path)")
    }
}
