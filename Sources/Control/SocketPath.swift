import Basics
import CLinux
import Glibc

/// Where the control socket of a mount lies: named by the minor number of its device, which mountinfo tells.
public enum SocketPath {
    /// The folder for the sockets of this process's own mounts: root's, the user's runtime folder, or where
    /// he has none, one of his own in /tmp.
    public static func ownFolder() -> String {
        if geteuid() == 0 { return "/run/dmemfs" }
        if let runtime = Files.environment("XDG_RUNTIME_DIR") { return "\(runtime)/dmemfs" }
        let runtime = "/run/user/\(geteuid())"
        return isFolder(runtime, of: geteuid()) ? "\(runtime)/dmemfs" : temporary(of: geteuid())
    }

    private static func temporary(of user: UInt32) -> String { "/tmp/dmemfs-\(user)" }

    /// Whether `path` is a folder of `user`'s: in /tmp anybody may make one by any name.
    private static func isFolder(_ path: String, of user: UInt32) -> Bool {
        do throws(Errno) {
            let status = try Files.status(of: path)
            return status.kind == .directory && status.owner == user
        } catch {
            return false
        }
    }

    public static func path(in folder: String, deviceMinor: Int) -> String {
        "\(folder)/\(deviceMinor).sock"
    }

    /// Removes the socket that the dead daemon of `mount` has left, where this process may.
    public static func removeStale(of mount: MountEntry) {
        for path in candidates(for: mount) {
            let connection = unsafe linux_socket_connect(path, 1)
            if connection >= 0 { close(connection) }
            guard connection == -ECONNREFUSED else { continue }
            do throws(Errno) {
                try Files.remove(path)
            } catch {
                continue
            }
        }
    }

    /// Where the socket of `mount` may be, the likelier place first.
    static func candidates(for mount: MountEntry) -> [String] {
        var folders: [String] = []
        if let user = mount.user, user != 0 {
            if user == geteuid() { folders.append(ownFolder()) }
            folders.append("/run/user/\(user)/dmemfs")
            if isFolder(temporary(of: user), of: user) { folders.append(temporary(of: user)) }
        }
        folders.append("/run/dmemfs")
        return folders.map { path(in: $0, deviceMinor: mount.deviceMinor) }
    }
}
