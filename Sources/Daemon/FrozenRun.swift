import Basics
import CLinux
public import Control
import Glibc

/// A command that sees a mount as of one moment: `dmemfs freeze MOUNTPOINT -- COMMAND`.
///
/// In a mount namespace of its own the command finds, in the place of the mount, a second one of the same
/// files: read-only, and without the locks that the kernel holds for whoever waits to change something.
public enum FrozenRun {
    /// Runs `command` while `mount` is frozen. This process must have one thread, and should end soon after.
    ///
    /// - Returns: the command's own code, or 128 and the signal that ended it; and how the freeze ended, nil
    ///   where the daemon did not live to tell.
    /// - Throws: why nothing was frozen; the command was not started then.
    public static func run(
        _ command: [String], on mount: MountEntry, timeout: String?
    ) throws -> (code: Int32, end: FreezeEnd?) {
        try check(mount)
        let folder = workingFolder(in: mount)
        let signals = Supervision.hold()
        let device = try show(mount)
        let request = FreezeRequest(timeout: timeout, hold: true, view: true)
        let outcome: Result<(FreezeStatus, HeldFreeze), ControlRefusal>
        do {
            defer { close(device) }
            outcome = try Client.freeze(request, mount)
            if case .success((_, let held)) = outcome { try held.show(on: device) }
        }
        switch outcome {
        case .failure(let refusal):
            throw Failure(refusal.cause == .malformed ? .usage : .refused, refusal.description)
        case .success((_, let held)):
            try enter(mount, folder)
            var supervision = Supervision(beside: -1, holding: signals)
            let code = supervision.run(command)
            return (code, try held.end())
        }
    }

    /// Throws what would be refused only later, after a wait, or in other words.
    private static func check(_ mount: MountEntry) throws {
        // Of another user's mount, whoever has mounted it, the namespace would fail first.
        guard geteuid() == 0 || mount.user == geteuid() else {
            throw Failure(.refused, ControlRefusal.stranger.description)
        }
        // What then waits may hold the lock that mounting the view would wait for.
        if let frozen = try Client.status(of: mount).frozen.value {
            throw Failure(.refused, "\(mount.mountpoint) is already \(frozen.summary)")
        }
        for stream in [STDOUT_FILENO, STDERR_FILENO] {
            guard linux_device_minor(stream) == mount.deviceMinor else { continue }
            throw Failure(
                .refused,
                "the command would write its output to \(mount.mountpoint), and wait for the thaw: "
                    + "write it elsewhere")
        }
    }

    /// The working folder, where it is in the mount.
    private static func workingFolder(in mount: MountEntry) -> String? {
        do throws(Errno) {
            let folder = try Files.workingFolder()
            return "\(folder)/".hasPrefix("\(mount.mountpoint)/") ? folder : nil
        } catch {
            return nil
        }
    }

    /// Mounts the view where only this process and what it starts sees it. Returns its device, which nobody
    /// serves yet.
    ///
    /// Before anything is frozen: to mount on a directory the kernel takes its lock, which who waits to
    /// change it may hold.
    private static func show(_ mount: MountEntry) throws(Failure) -> Int32 {
        try PrivateNamespace.enter()
        do throws(Errno) {
            // So that the mount can be unmounted while the command runs. A user's namespace has to keep it.
            try Unmounting.unmount(mount.mountpoint, lazily: true)
        } catch {
            guard error == .invalidArgument || geteuid() != 0 else {
                throw Failure(.mountFailed, "cannot show \(mount.mountpoint): \(Wording.of(error))")
            }
        }
        let device = unsafe linux_view_mount(mount.mountpoint, geteuid(), getegid())
        guard device >= 0 else {
            let reason = Wording.of(Errno(rawValue: -device))
            throw Failure(
                .mountFailed, "cannot show \(mount.mountpoint): \(reason): 'dmemfs check' says more")
        }
        return device
    }

    /// Goes where the command is to begin: what this process has open is still in the mount itself.
    private static func enter(_ mount: MountEntry, _ folder: String?) throws(Failure) {
        do throws(Errno) {
            if mount.root != "/" { try Errno.check(unsafe linux_view_narrow(mount.mountpoint, mount.root)) }
            guard let folder else { return }
            guard unsafe chdir(folder) == 0 else { throw Errno(rawValue: errno) }
        } catch {
            throw Failure(.refused, "cannot enter \(folder ?? mount.mountpoint): \(Wording.of(error))")
        }
    }
}
