import Basics
import CLinux
import Glibc

/// A dmemfs mount that the built program serves in a child process, and that always comes to an end.
///
/// Every wait has a limit. A watchdog aborts the FUSE connection when a test takes too long, so that calls
/// that hang in the mount fail instead.
package final class MountFixture {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package let path: Path
    package let process: Int32
    private let log: Int32
    private var watchdog: Watchdog?
    /// The number of the FUSE connection: the minor number of the mount's device.
    private var connection = 0

    /// Whether FUSE can mount here. Says so, once, where it cannot.
    package static let canMount: Bool = {
        guard let reason = Kernel.whyNoFuse() else { return true }
        print("SKIPPED: every test that needs a mount, since /dev/fuse cannot be opened: \(reason)")
        return false
    }()

    /// The program, which the build has put beside the tests.
    package static func program() throws -> String {
        if let named = unsafe getenv("DMEMFS_PROGRAM") { return unsafe String(cString: named) }
        let tests = String(decoding: try Kernel.readlink("/proc/self/exe"), as: UTF8.self)
        guard let slash = tests.lastIndex(of: "/") else {
            throw Failure(description: "no directory in \(tests)")
        }
        return tests[..<slash] + "/dmemfs"
    }

    /// Mounts with these arguments and returns when the kernel has the mount.
    ///
    /// - Parameter preparation: what a shell does before it becomes the daemon.
    package init(_ arguments: [String], seconds: Int = 300, after preparation: String? = nil) throws {
        path = try PlainDirectory.makeTemporary(below: "/tmp")
        log = try Program.temporaryFile()
        var command = [try Self.program(), "mount", "-f"] + arguments + ["\(path)"]
        if let preparation { command = ["sh", "-c", "\(preparation) && exec \"$@\"", "sh"] + command }
        process = try Program.start(command, in: "/", output: log)
        do {
            connection = try Self.awaitMount(at: path, by: process, seconds: 20)
            watchdog = try watch(for: seconds)
            // The kernel asks for this only once the daemon serves, and then its control socket is there.
            _ = try Kernel.stat(path)
        } catch {
            _ = kill(process, SIGKILL)
            _ = try? Program.wait(for: process, seconds: 5)
            watchdog?.disarm()
            let said = self.said()
            _ = Glibc.close(log)
            try? Kernel.unmount(path, flags: linux_umount_detach)
            try? Kernel.rmdir(path)
            throw Failure(description: "\(command.joined(separator: " ")): \(error)\n\(said)")
        }
    }

    private func watch(for seconds: Int) throws -> Watchdog {
        try Watchdog(seconds: seconds) { [connection, process, path] in
            print("watchdog: the mount is aborted after \(seconds) s; the daemon's threads:")
            print(Stacks.of(process))
            Self.abort(connection, at: path)
            _ = kill(process, SIGKILL)
        }
    }

    /// Mounts, runs `body`, and unmounts whatever happened. The daemon must end with status 0.
    package static func use(_ arguments: [String], seconds: Int = 300, _ body: (MountFixture) throws -> Void)
        throws
    {
        let mount = try MountFixture(arguments, seconds: seconds)
        do {
            try body(mount)
        } catch {
            print("the daemon said: \(mount.said())")
            _ = mount.stop()
            throw error
        }
        if let trouble = mount.stop() { throw Failure(description: trouble) }
    }

    /// What the daemon has written to its output and its errors.
    package func said() -> String {
        (try? Program.everything(in: log)) ?? ""
    }

    /// Unmounts and waits for the daemon's end. Returns what went wrong, or nil.
    package func stop() -> String? {
        defer {
            watchdog?.disarm()
            _ = Glibc.close(log)
            try? Kernel.rmdir(path)
        }
        var trouble: String?
        do {
            try unmount(withinSeconds: 10)
        } catch {
            trouble = "umount: \(error)"
            try? unmount(flags: linux_umount_detach)
        }
        // Whoever has copied the mount into a namespace of his own meanwhile keeps the daemon for as long.
        if let status = try? Program.wait(for: process, seconds: 60) {
            if status != 0 { trouble = "\(trouble ?? "") the daemon ended with \(status): \(said())" }
            return trouble
        }
        trouble = "\(trouble ?? "") the daemon did not end within 60 s: \(said())"
        Self.abort(connection, at: path)
        _ = kill(process, SIGKILL)
        _ = try? Program.wait(for: process, seconds: 5)
        return trouble
    }

    /// Whoever looks at all mounts, as df(1) does, is in each of them for a moment.
    private func unmount(withinSeconds limit: Int) throws {
        let deadline = time(nil) + limit
        while true {
            do {
                return try unmount(flags: 0)
            } catch Errno.resourceBusy where time(nil) < deadline {
                _ = poll(nil, 0, 10)
            }
        }
    }

    private func unmount(flags: Int32) throws {
        if geteuid() == 0 { return try Kernel.unmount(path, flags: flags) }
        let result = try Program.run(
            ["fusermount3", flags == 0 ? "-u" : "-uz", "\(path)"], in: "/", seconds: 10)
        if result.status != 0 { throw Failure(description: result.output) }
    }

    /// Has the kernel end the connection: every call that waits in the mount fails, and the daemon ends.
    package var aborter: @Sendable () -> Void {
        { [connection, path] in Self.abort(connection, at: path) }
    }

    private static func abort(_ connection: Int, at path: Path) {
        // A forced unmount ends the connection first, whatever becomes of the mount; fusectl may be missing.
        if geteuid() == 0 { try? Kernel.unmount(path, flags: Int32(MNT_FORCE)) }
        guard let fd = try? Kernel.open(Path("/sys/fs/fuse/connections/\(connection)/abort"), O_WRONLY) else {
            return
        }
        _ = try? Kernel.write(fd, Array("1".utf8))
        _ = Glibc.close(fd)
    }

    /// Waits until the mount table has the mount, or the daemon has ended. The kernel reports both as events.
    private static func awaitMount(at path: Path, by process: Int32, seconds: Int) throws -> Int {
        let table = try Kernel.open("/proc/self/mountinfo", O_RDONLY)
        defer { _ = Glibc.close(table) }
        let child = try Kernel.call { linux_pidfd_open(process) }
        defer { _ = Glibc.close(child) }
        let deadline = time(nil) + seconds
        while true {
            if let found = try minor(of: path, in: Program.everything(in: table)) { return found }
            let left = deadline - time(nil)
            if left <= 0 { throw Failure(description: "no mount within \(seconds) s") }
            var events = [
                pollfd(fd: table, events: Int16(POLLPRI), revents: 0),
                pollfd(fd: child, events: Int16(POLLIN), revents: 0),
            ]
            unsafe _ = poll(&events, 2, Int32(left * 1000))
            if events[1].revents != 0 { throw Failure(description: "the daemon ended before it had mounted") }
        }
    }

    private static func minor(of path: Path, in table: String) -> Int? {
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, fields[4] == "\(path)", let colon = fields[2].firstIndex(of: ":") else {
                continue
            }
            return Int(fields[2][fields[2].index(after: colon)...])
        }
        return nil
    }
}
