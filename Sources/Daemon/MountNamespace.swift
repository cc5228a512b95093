import Basics
import CLinux

/// Mount namespaces, which say what is mounted for whom.
public enum MountNamespace {
    /// Goes into the one that the file `path` stands for, such as `/proc/1/ns/mnt`. Only while this process
    /// has one thread.
    public static func enter(_ path: String) throws(Failure) {
        let failure = unsafe linux_enter_mount_namespace(path)
        guard failure == 0 else {
            let reason = Wording.of(Errno(rawValue: failure))
            throw Failure(.mountFailed, "cannot enter the mount namespace \(path): \(reason)")
        }
    }
}
