package import Basics
import CLinux
import Glibc

/// The namespaces that `dmemfs run` gives itself and its command: its mount is seen in there only.
///
/// Root takes a mount namespace. A user needs a user namespace besides, to be allowed one; in it he keeps his
/// own number, the one that is mapped, so that files, `id -u` and the terminal are as before.
enum PrivateNamespace {
    /// Moves this process, which must have one thread, into namespaces of its own.
    static func enter() throws(Failure) {
        let (user, group) = (geteuid(), getegid())
        let isUser = user != 0
        var error = linux_unshare_mounts(isUser)
        if error == 0, isUser {
            do throws(Errno) {
                try map("uid_map", user)
                // The kernel demands it before a user may map his group: without it, leaving a group could
                // open files that the group is kept from.
                try Files.overwrite("/proc/self/setgroups", with: "deny")
                try map("gid_map", group)
            } catch {
                throw Failure(.mountFailed, "cannot keep the user's own number: \(Wording.of(error))")
            }
        }
        // AppArmor lets the namespace come about, and then refuses all that it is good for.
        if error == 0 { error = linux_keep_mounts_private() }
        guard error == 0 else {
            throw NamespaceTrouble(error: Errno(rawValue: error), isUser: isUser).failure
        }
    }

    private static func map(_ file: String, _ number: UInt32) throws(Errno) {
        try Files.overwrite("/proc/self/\(file)", with: "\(number) \(number) 1")
    }
}

/// Why namespaces could not be had, with the setting that forbids them.
package struct NamespaceTrouble {
    private let error: Errno
    private let isUser: Bool
    /// The number that a sysctl holds; nil where this kernel has none of that name.
    private let setting: (String) -> Int?

    package init(error: Errno, isUser: Bool, setting: @escaping (String) -> Int? = Self.sysctl) {
        self.error = error
        self.isUser = isUser
        self.setting = setting
    }

    package static func sysctl(_ name: String) -> Int? {
        do throws(Errno) {
            let text = try Files.text(of: "/proc/sys/\(name.replacing(".", with: "/"))")
            return Int(text.prefix { !$0.isWhitespace })
        } catch {
            return nil
        }
    }

    package var failure: Failure { Failure(.mountFailed, reason) }

    private var reason: String {
        guard isUser else {
            return "no mount namespace for root here (\(Wording.of(error))): "
                + (error == .noSpace
                    ? raise("user.max_mnt_namespaces")
                    : "root needs CAP_SYS_ADMIN, which 'docker run --cap-add SYS_ADMIN' gives a container")
        }
        let subject = "no user namespace for a user here"
        let root = "or run as root"
        switch error {
        case .noSpace:
            let names = ["user.max_user_namespaces", "user.max_mnt_namespaces"]
            let name = names.first { setting($0) == 0 } ?? names[0]
            return "\(subject): \(raise(name)), \(root)"
        case .invalidArgument, .noFunction:
            return "\(subject): the kernel has none (CONFIG_USER_NS): run as root"
        default: break
        }
        if setting("kernel.unprivileged_userns_clone") == 0 {
            return "\(subject): kernel.unprivileged_userns_clone is 0: "
                + "'sysctl kernel.unprivileged_userns_clone=1' as root, \(root)"
        }
        if setting("kernel.apparmor_restrict_unprivileged_userns") ?? 0 != 0 {
            return "\(subject): kernel.apparmor_restrict_unprivileged_userns is 1: as root set it to 0, "
                + "or give dmemfs an AppArmor profile that has 'userns,', \(root)"
        }
        return "\(subject) (\(Wording.of(error))): a container's seccomp filter, a security module or a "
            + "chroot forbids it: allow unshare(2) there, \(root)"
    }

    private func raise(_ name: String) -> String {
        "\(name) is \(setting(name).map(String.init) ?? "too low"): 'sysctl \(name)=10000' as root"
    }
}
