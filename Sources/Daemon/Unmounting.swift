public import Basics
public import Control
import Glibc

/// Taking mounts away: by umount2(2), or by fusermount3 for a user.
public enum Unmounting {
    private static let followsNoLink: Int32 = 8  // UMOUNT_NOFOLLOW

    /// Whether the daemon behind `mount` is gone, so that every access fails with ENOTCONN.
    ///
    /// The daemon's socket is asked first: only where nobody listens is the mount itself touched, since one
    /// whose daemon lives but hangs would hang us too.
    public static func isDead(_ mount: MountEntry) -> Bool {
        guard Client.process(behind: mount) == nil else { return false }
        do throws(Errno) {
            try Files.probeMount(mount.mountpoint)
            return false
        } catch {
            return error == Errno.socketNotConnected
        }
    }

    /// Takes the uppermost mount at `path` away.
    ///
    /// - Parameter lazily: also where it is in use; those who use it keep what they have open.
    /// - Throws: `.resourceBusy` where it is in use.
    public static func unmount(_ path: String, lazily: Bool) throws(Errno) {
        do throws(Errno) {
            try Files.unmount(path, flags: followsNoLink | (lazily ? Int32(MNT_DETACH) : 0))
        } catch {
            guard error == .notPermitted, geteuid() != 0 else { throw error }
            let arguments = ["fusermount3", "-u", "-q"] + (lazily ? ["-z"] : []) + ["--", path]
            // It does not tell why it fails; in use is the one reason that is left once the mount was ours.
            guard try Spawn.run("fusermount3", arguments) == 0 else { throw .resourceBusy }
        }
    }

    /// Ends the connection of `mount` at once: every request that waits, and every later one, fails with
    /// ENOTCONN. Returns whether the mount is gone as well; else it stays.
    public static func abort(_ mount: MountEntry) throws(Errno) -> Bool {
        do throws(Errno) {
            try Files.overwrite("/sys/fs/fuse/connections/\(mount.deviceMinor)/abort", with: "1")
            return false
        } catch {
            // Without fusectl the kernel still does it for root, and unmounts what nobody uses.
            do throws(Errno) {
                try Files.unmount(mount.mountpoint, flags: Int32(MNT_FORCE))
                return true
            } catch {
                guard error == .resourceBusy else { throw error }
                return false
            }
        }
    }
}
