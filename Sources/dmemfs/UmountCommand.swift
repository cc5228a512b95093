import ArgumentParser
import Basics
import Control
import Daemon

struct UmountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "umount", abstract: "Take a mount away, and all that is in it.",
        discussion: "Where the mount is in use, says by whom, and exits with 32.")

    @Argument(help: "Where it is mounted.")
    var mountpoint: String

    @Option(help: "How long to wait for those who use it: 20s, 500ms, 2m. (default: do not wait)")
    var timeout: String?

    @Flag(help: "Take it away although it is in use; open files live until they are closed.")
    var lazy = false

    @Flag(help: "End it at once, though its daemon hangs: whoever uses it gets errors (ENOTCONN).")
    var force = false

    @Flag(help: "Clear the mount only if its daemon is dead, and do nothing else.")
    var staleOnly = false

    func run() throws {
        let milliseconds = try waitMilliseconds()
        let mount: MountEntry
        do throws(Failure) {
            mount = try Lookup.mount(mountpoint)
        } catch {
            guard !staleOnly else { return }
            throw error
        }
        if Unmounting.isDead(mount) {
            try unmount(mount, lazily: true)
            SocketPath.removeStale(of: mount)
            printOut("dmemfs: cleared the dead dmemfs mount on \(mount.mountpoint)")
            return
        }
        guard !staleOnly else { return }
        let daemon = ProcessWatch(Client.process(behind: mount))
        let isGone = force ? try abort(mount) : false
        if !isGone { try unmount(mount, withinMilliseconds: milliseconds) }
        if !force, let daemon, let copy = try remaining(of: mount, servedBy: daemon) {
            Files.complain("dmemfs: \(mount.mountpoint) is unmounted, and its files live on at \(copy)")
            return
        }
        // So that the memory is free, and nothing is left, when we return.
        daemon?.awaitEnd(milliseconds: force ? 500 : 10_000)
    }

    /// Where else the filesystem is mounted: a bind of it, or what it was bound from. nil where it is nowhere
    /// to be seen.
    private func remaining(of mount: MountEntry, servedBy daemon: ProcessWatch) throws(Failure) -> String? {
        do throws(Errno) {
            let entries = try MountTable.current().ours
            let copy = entries.last { $0.deviceMinor == mount.deviceMinor }
            // The number of the device is free for another mount once the daemon has ended.
            return daemon.awaitEnd(milliseconds: 0) ? nil : copy?.mountpoint
        } catch {
            throw Failure(.mountFailed, "cannot read the table of mounts: \(error)")
        }
    }

    /// Returns whether the mount is gone as well.
    private func abort(_ mount: MountEntry) throws(Failure) -> Bool {
        do throws(Errno) {
            return try Unmounting.abort(mount)
        } catch {
            if error == .invalidArgument || error == .noSuchFileOrDirectory { return true }
            throw Failure(
                .mountFailed, "cannot end the connection of \(mount.mountpoint): \(error): do it as root")
        }
    }

    private func waitMilliseconds() throws(Failure) -> Int {
        guard let timeout else { return 0 }
        do throws(QuantityError) {
            return try DurationArgument.milliseconds(parsing: timeout)
        } catch {
            throw Failure(.usage, "--timeout: \(error)")
        }
    }

    private func unmount(_ mount: MountEntry, withinMilliseconds limit: Int) throws(Failure) {
        let deadline = Files.monotonicMilliseconds() + limit
        while !(try unmount(mount, lazily: lazy || force)) {
            let left = deadline - Files.monotonicMilliseconds()
            guard left > 0 else {
                throw Failure(
                    .mountFailed,
                    "\(mount.mountpoint) is in use, \(Holders.summary(of: mount.mountpoint)): "
                        + "end them, or use --timeout or --lazy")
            }
            // There is no event for "no longer in use".
            ProcessWatch.pause(milliseconds: min(left, 100))
        }
    }

    /// Returns false where the mount is in use.
    @discardableResult
    private func unmount(_ mount: MountEntry, lazily: Bool) throws(Failure) -> Bool {
        do throws(Errno) {
            try Unmounting.unmount(mount.mountpoint, lazily: lazily)
            return true
        } catch {
            if error == .resourceBusy { return false }
            let remedy =
                error == .notPermitted || error == .permissionDenied
                ? "no permission: do it as root or as its owner" : "\(error)"
            throw Failure(.mountFailed, "cannot unmount \(mount.mountpoint): \(remedy)")
        }
    }
}
