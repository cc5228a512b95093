import Basics
import CLinux
import Glibc

/// A directory that dmemfs has nothing to do with: a new tmpfs where we may mount one, else a place in
/// /dev/shm.
package final class PlainDirectory {
    package let path: Path
    private let isMounted: Bool

    /// - Parameter options: what the tmpfs is mounted with, where it is one.
    package init(_ options: Path = "size=1g,mode=1777") throws {
        path = try Self.makeTemporary(below: "/dev/shm")
        isMounted = geteuid() == 0
        if isMounted { try Kernel.mountTmpfs(path, options) }
    }

    /// A new directory with a name that nobody has.
    package static func makeTemporary(below parent: Path) throws -> Path {
        for attempt in 0..<1000 {
            let path = parent / "dmemfs-test-\(getpid())-\(attempt)"
            do {
                try Kernel.mkdir(path, 0o755)
                return path
            } catch Errno.fileExists {
                continue
            }
        }
        throw Errno.fileExists
    }

    /// Whether ACLs can be set here.
    package var takesAccessLists: Bool {
        (try? Kernel.setXattr(path, AccessList.inherited, AccessList.letting(1, 7).bytes)) != nil
            && (try? Kernel.removeXattr(path, AccessList.inherited)) != nil
    }

    package func remove() {
        do {
            if isMounted {
                try Kernel.unmount(path, flags: linux_umount_detach)
                try Kernel.rmdir(path)
            } else {
                try PosixCase.removeAll(path)
            }
        } catch {
            print("note: \(path) stays behind: \(error)")
        }
    }
}
