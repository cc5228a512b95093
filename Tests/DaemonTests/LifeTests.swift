import Basics
import Control
import Daemon
import Glibc
import Support
import Testing

@Suite("a mount from start to end", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct LifeTests {
    /// A mount in the background, as a user would make it.
    private func withBackground(_ arguments: [String], _ body: (String, Int32) throws -> Void) throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let mountpoint = "\(folder)/a b"
        let outcome = Program.run(["mount", "--mkdir"] + arguments + [mountpoint])
        #expect(outcome.code == 0 && outcome.err == "", "\(outcome)")
        let entry = try #require(try MountTable.current().top(at: mountpoint))
        #expect(entry.isOurs)
        let process = try #require(Client.process(behind: entry))
        defer { kill(process, SIGKILL) }
        try body(mountpoint, process)
    }

    private func write(_ text: String, to path: String) -> Int32 {
        Program.spawnAndWait("/bin/sh", ["sh", "-c", "printf %s '\(text)' >'\(path)'"], into: "/dev/null")
    }

    private func isGone(_ mountpoint: String) -> Bool {
        (try? MountTable.current().top(at: mountpoint)) == nil
    }

    @Test("mount, use, status, list, umount: and nothing is left")
    func roundTrip() throws {
        try withBackground(["--size", "16M", "--max-nodes", "100"]) { mountpoint, process in
            #expect(write("hello", to: "\(mountpoint)/x") == 0)
            let asked = Program.run(["status", "--json", mountpoint])
            let status = try JSON.decode(Status.self, from: Array(asked.out.utf8))
            #expect(status.mountpoint == mountpoint && status.pid == Int(process))
            #expect(status.limitBytes == 16 << 20 && status.maxNodes.value == 100 && status.nodes == 2)
            #expect(status.usedBytes == status.dataBytes + status.metadataBytes && status.dataBytes > 0)
            #expect(status.freeBytes == status.limitBytes - status.usedBytes)
            #expect(Program.run(["status", mountpoint]).out.contains("2 of 100"))
            // A path with a link and dots in it means the same mount.
            let link = "\(mountpoint)/../link"
            _ = Program.spawnAndWait("/bin/ln", ["ln", "-s", mountpoint, link], into: "/dev/null")
            #expect(Program.run(["status", "\(link)/."]).code == 0)
            #expect(Program.run(["list", "--json"]).out.contains("\"mountpoint\" : \"\(mountpoint)\""))
            #expect(Program.run(["list"]).out.contains("\(mountpoint) (dmemfs) live"))
            let again = Program.run(["mount", mountpoint])
            #expect(again.code == 32 && again.err.contains("already mounted") && again.errLines.count == 1)
            let watch = ProcessWatch(process)
            let minor = try #require(try MountTable.current().top(at: mountpoint)).deviceMinor
            let socket = "/run/dmemfs/\(minor).sock"
            let ours = try #require(Files.number(of: socket))
            let ended = Program.run(["umount", mountpoint])
            #expect(ended.code == 0 && ended.err == "", "\(ended)")
            #expect(isGone(mountpoint))
            // The command returned only when the daemon had ended.
            #expect(watch?.awaitEnd(milliseconds: 0) != false)
            // The next mount of another test may have the same minor, and so the same socket.
            #expect(Files.number(of: socket) != ours)
            #expect(Program.run(["status", mountpoint]).code == 69)
            #expect(Program.run(["umount", mountpoint]).code == 69)
        }
    }

    @Test("the daemon leaves the terminal: own session, no streams, folder /, no core")
    func background() throws {
        try withBackground([]) { mountpoint, process in
            #expect(getsid(process) == process)
            for stream in 0...2 { #expect(try Files.link("/proc/\(process)/fd/\(stream)") == "/dev/null") }
            #expect(try Files.link("/proc/\(process)/cwd") == "/")
            #expect(try Files.text(of: "/proc/\(process)/comm") == "dmemfs\n")
            let limits = try Files.text(of: "/proc/\(process)/limits").split(separator: "\n")
            let core = limits.first { $0.hasPrefix("Max core file size") }?.split(separator: " ")
            #expect(core?.contains("0") == true)
        }
    }

    @Test("relative paths mean the caller's folder, also to the daemon, whose folder is /")
    func relativePaths() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let mountpoint = "\(folder)/there"
        #expect(write("size = 16M\n", to: "\(folder)/settings") == 0)
        let command = "cd '\(folder)' && exec '\(Program.path)' mount --mkdir --config settings ./there"
        #expect(Program.spawnAndWait("/bin/sh", ["sh", "-c", command], into: "\(folder)/said") == 0)
        defer { _ = Program.run(["umount", mountpoint]) }
        let entry = try #require(try MountTable.current().top(at: mountpoint))
        #expect(try Client.status(of: entry).limitBytes == 16 << 20)
        #expect(write("size = 8M\n", to: "\(folder)/settings") == 0)
        #expect(Program.run(["reload", mountpoint]).code == 0)
        #expect(try Client.status(of: entry).limitBytes == 8 << 20)
    }

    @Test("SIGTERM and SIGINT unmount and end it with 0", arguments: [SIGTERM, SIGINT])
    func signals(signal: Int32) {
        let mounted = Mounted()
        #expect(mounted.isReady)
        kill(mounted.process, signal)
        #expect(mounted.manager.next()?.hasPrefix("STOPPING=1") == true)
        #expect(mounted.code() == 0)
        #expect(isGone(mounted.mountpoint))
        #expect(mounted.err == "")
    }

    @Test(
        "a closed terminal or a client that hangs up does not end it", arguments: [SIGHUP, SIGPIPE, SIGUSR1])
    func harmless(signal: Int32) {
        let mounted = Mounted()
        #expect(mounted.isReady)
        kill(mounted.process, signal)
        #expect(Program.run(["status", mounted.mountpoint]).code == 0)
        #expect(Program.run(["umount", mounted.mountpoint]).code == 0)
        #expect(mounted.code() == 0)
    }

    @Test("an unmount from outside ends it with 0")
    func outside() throws {
        let mounted = Mounted()
        #expect(mounted.isReady)
        try Files.unmount(mounted.mountpoint, flags: 0)
        #expect(mounted.code() == 0)
        #expect(mounted.err == "")
    }

    @Test("a busy mount is served until it is free, and then unmounted")
    func busy() throws {
        let mounted = Mounted()
        #expect(mounted.isReady)
        #expect(write("x", to: "\(mounted.mountpoint)/x") == 0)
        let held = unsafe open("\(mounted.mountpoint)/x", O_RDONLY | O_CLOEXEC)
        let refused = Program.run(["umount", "--timeout", "200ms", mounted.mountpoint])
        #expect(refused.code == 32 && refused.errLines.count == 1)
        #expect(
            refused.err.contains("\(getpid()) (") && refused.err.contains("open file \(mounted.mountpoint)/x")
        )
        kill(mounted.process, SIGTERM)
        #expect(mounted.manager.next()?.hasPrefix("STOPPING=1") == true)
        #expect(try Files.read(held, upTo: 10) == Array("x".utf8))
        close(held)
        #expect(mounted.code() == 0)
        #expect(isGone(mounted.mountpoint))
    }

    @Test("a mount that stays busy is taken away when the time is up")
    func busyForGood() {
        let mounted = Mounted(["--size", "16M", "--stop-timeout", "300ms"])
        #expect(mounted.isReady)
        #expect(write("x", to: "\(mounted.mountpoint)/x") == 0)
        let held = unsafe open("\(mounted.mountpoint)/x", O_RDONLY | O_CLOEXEC)
        defer { close(held) }
        kill(mounted.process, SIGTERM)
        #expect(mounted.code() == 0)
        #expect(isGone(mounted.mountpoint))
        #expect(mounted.err.contains("is in use") && mounted.err.contains("dmemfs umount"))
    }

    @Test("umount --lazy takes a busy mount away, and the daemon ends with its last user")
    func lazy() {
        let mounted = Mounted()
        #expect(mounted.isReady)
        #expect(write("x", to: "\(mounted.mountpoint)/x") == 0)
        let held = unsafe open("\(mounted.mountpoint)/x", O_RDONLY | O_CLOEXEC)
        // It waits for the daemon only for a while; the file is closed before.
        let child = Program.start(["umount", "--lazy", mounted.mountpoint], into: "\(mounted.folder)/umount")
        #expect(Patience.until { isGone(mounted.mountpoint) })
        close(held)
        #expect(Program.end(of: child) == 0)
        #expect(mounted.code() == 0)
    }

    @Test("after kill -9 the next mount clears the dead one and says so; umount --stale-only does only that")
    func stale() throws {
        let mounted = Mounted()
        #expect(mounted.isReady)
        #expect(Program.run(["umount", "--stale-only", mounted.mountpoint]).code == 0)
        #expect(mounted.entry?.isOurs == true)
        kill(mounted.process, SIGKILL)
        #expect(mounted.code() == 128 + SIGKILL)
        #expect(mounted.entry?.isOurs == true)
        #expect(Program.run(["list"]).out.contains("\(mounted.mountpoint) (dmemfs) dead"))
        let status = Program.run(["status", mounted.mountpoint])
        #expect(status.code == 69 && status.err.contains("is dead"))
        let again = Program.run(["mount", "--size", "16M", mounted.mountpoint])
        #expect(again.code == 0 && again.errLines.count == 1 && again.err.contains("cleared the dead mount"))
        let entry = try #require(mounted.entry)
        let process = try #require(Client.process(behind: entry))
        kill(process, SIGKILL)
        _ = ProcessWatch(process)?.awaitEnd(milliseconds: 10_000)
        let cleared = Program.run(["umount", "--stale-only", mounted.mountpoint])
        #expect(cleared.code == 0 && cleared.out.contains("cleared"))
        #expect(isGone(mounted.mountpoint))
        #expect(Program.run(["umount", "--stale-only", mounted.mountpoint]).code == 0)
    }

    @Test("a bind keeps the session it was made of: ENOTCONN after kill -9 and a new start, until bound anew")
    func boundAndKilled() throws {
        let mounted = Mounted()
        #expect(mounted.isReady)
        let bind = "\(mounted.folder)/bind"
        try Files.makeFolder(bind, mode: 0o755)
        func error(of path: String) -> Errno? {
            let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
            guard fd >= 0 else { return Errno(rawValue: errno) }
            close(fd)
            return nil
        }
        #expect(write("old", to: "\(mounted.mountpoint)/x") == 0)
        #expect(bindMount(mounted.mountpoint, on: bind) == 0)
        kill(mounted.process, SIGKILL)
        #expect(mounted.code() == 128 + SIGKILL)
        #expect(error(of: "\(bind)/x") == .socketNotConnected)
        #expect(Program.run(["mount", "--size", "16M", mounted.mountpoint]).code == 0)
        #expect(write("new", to: "\(mounted.mountpoint)/x") == 0)
        #expect(error(of: "\(mounted.mountpoint)/x") == nil)
        // Jobs that hold a bind must be started anew, which `PartOf=` the unit has systemd do.
        #expect(error(of: "\(bind)/x") == .socketNotConnected)
        #expect(Program.run(["umount", "--stale-only", bind]).out.contains("cleared"))
        #expect(bindMount(mounted.mountpoint, on: bind) == 0)
        #expect(try Files.text(of: "\(bind)/x") == "new")
        // Taking the mount away takes no bind away. Who asks for it is told at once, and not when it is over.
        let entry = try #require(mounted.entry)
        let daemon = try #require(ProcessWatch(Client.process(behind: entry)))
        let first = Program.run(["umount", mounted.mountpoint])
        #expect(first.code == 0 && first.err.contains("live on at \(bind)"), "\(first)")
        #expect(isGone(mounted.mountpoint))
        #expect(try Files.text(of: "\(bind)/x") == "new")
        let last = Program.run(["umount", bind])
        #expect(last.code == 0 && last.err == "", "\(last)")
        #expect(daemon.awaitEnd(milliseconds: 0))
    }

    private func bindMount(_ from: String, on to: String) -> Int32 {
        Program.spawnAndWait("/bin/mount", ["mount", "--bind", from, to], into: "/dev/null")
    }

    @Test("an idle mount uses no CPU and little memory")
    func idle() throws {
        let mounted = Mounted()
        #expect(mounted.isReady)
        #expect(Program.run(["status", mounted.mountpoint]).code == 0)
        let before = try processorTicks(mounted.process)
        // The wait is what is measured.
        ProcessWatch.pause(milliseconds: 3000)
        #expect(try processorTicks(mounted.process) - before <= 1)
        let entry = try #require(mounted.entry)
        #expect(try Client.status(of: entry).residentBytes < 32 << 20)
    }

    /// User and system time in clock ticks, of which a second has a hundred.
    private func processorTicks(_ process: pid_t) throws -> Int {
        let text = try Files.text(of: "/proc/\(process)/stat")
        let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
        return (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0)
    }
}
