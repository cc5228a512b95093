import Basics
import CLinux
import Control
import Daemon
import Glibc
import Support
import Synchronization
import Testing

@Suite("a daemon as a service", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct ServiceTests {
    private func write(_ text: String, to path: String) {
        _ = Program.spawnAndWait(
            "/bin/sh", ["sh", "-c", "printf '%s\n' '\(text)' >'\(path)'"], into: "/dev/null")
    }

    private func limit(of mounted: Mounted) throws -> Int {
        try Client.status(of: try #require(mounted.entry)).limitBytes
    }

    @Test("flags are stronger than the environment, and that than the file")
    func precedence() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let file = "\(folder)/dmemfs.conf"
        write("# a comment\n  size = 8M # another\n\nnr_inodes=50\nmode = 750", to: file)
        let plain = Mounted(["--config", file])
        #expect(plain.isReady)
        let status = try Client.status(of: try #require(plain.entry))
        #expect(status.limitBytes == 8 << 20 && status.maxNodes.value == 50)
        let surrounded = Mounted(
            ["-o", "config=\(file)"], environment: ["DMEMFS_SIZE=9M", "DMEMFS_DIR=/x"])
        #expect(surrounded.isReady)
        #expect(try limit(of: surrounded) == 9 << 20)
        let named = Mounted(["--config", file, "--size", "10M"], environment: ["DMEMFS_SIZE=9M"])
        #expect(named.isReady)
        #expect(try limit(of: named) == 10 << 20)
        let absent = Mounted(["--config-if-exists", "\(folder)/none", "--size", "1M"])
        #expect(absent.isReady)
        for mounted in [plain, surrounded, named, absent] { kill(mounted.process, SIGTERM) }
        let missing = Program.run(["mount", "--config", "\(folder)/none", folder])
        #expect(missing.code == 64 && missing.err.contains("cannot read"), "\(missing)")
        write("size = 8M\nsise = 1", to: file)
        let wrong = Program.run(["mount", "--config", file, folder])
        #expect(wrong.code == 64 && wrong.err.contains("did you mean 'size'"), "\(wrong)")
    }

    @Test("SIGHUP and reload read the file anew, tell the service manager, and change all or nothing")
    func reload() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let file = "\(folder)/dmemfs.conf"
        write("size = 8M", to: file)
        let mounted = Mounted(["--config", file])
        #expect(mounted.isReady)
        write("size = 12M", to: file)
        kill(mounted.process, SIGHUP)
        let reloading = try #require(mounted.manager.next())
        #expect(reloading.hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        #expect(mounted.manager.next()?.hasPrefix("READY=1") == true)
        #expect(try limit(of: mounted) == 12 << 20)
        write("size = 9M\nmax_nodes = 0", to: file)
        let refused = Program.run(["reload", mounted.mountpoint])
        #expect(refused.code == 64 && refused.err.contains("nothing is changed"), "\(refused)")
        #expect(try limit(of: mounted) == 12 << 20)
        write("size = 100", to: file)
        let small = Program.run(["reload", mounted.mountpoint])
        #expect(small.code == 1 && small.err.contains("are in use"), "\(small)")
        write("size = 9M\nstorage = sequential\nacl", to: file)
        let done = Program.run(["reload", mounted.mountpoint])
        #expect(done.code == 0 && done.out.contains("limit 9 MiB"), "\(done)")
        #expect(mounted.err.contains("storage, acl: only a new mount changes that"))
        kill(mounted.process, SIGTERM)
        #expect(mounted.code() == 0)
        #expect(Program.run(["reload", mounted.mountpoint]).code == 69)
    }

    @Test("the manager hears a status line and the watchdog's beat; SIGUSR1 logs the figures")
    func heartbeat() throws {
        let mounted = Mounted(["--size", "16M"], environment: ["WATCHDOG_USEC=200000"])
        #expect(mounted.isReady)
        // Beats never end: who waits for anything else must count them.
        let hears = { (words: String) in
            (0..<100).contains { _ in mounted.manager.nextOfAll()?.contains(words) ?? false }
        }
        #expect(hears("/16 MiB used (0 %), 1 nodes"))
        #expect(hears("WATCHDOG=1"))
        #expect(Program.run(["freeze", mounted.mountpoint]).code == 0)
        #expect(hears("nodes, frozen until "))
        #expect(Program.run(["thaw", mounted.mountpoint]).code == 0)
        #expect(mounted.err.contains("frozen by user 0") && mounted.err.contains("somebody asked for it"))
        kill(mounted.process, SIGUSR1)
        #expect(Patience.until { mounted.err.contains("of 16 MiB used, peak") })
        kill(mounted.process, SIGTERM)
        #expect(mounted.code() == 0)
    }

    @Test("every thread has two capabilities at the most, and no program gets one back")
    func capabilities() throws {
        let mounted = Mounted()
        #expect(mounted.isReady)
        #expect(Program.run(["status", mounted.mountpoint]).code == 0)
        let threads = try Files.names(in: "/proc/\(mounted.process)/task")
        #expect(threads.count > 4)
        for thread in threads {
            let lines = try Files.text(of: "/proc/\(mounted.process)/task/\(thread)/status")
                .split(separator: "\n")
            for set in ["CapPrm:", "CapEff:", "CapInh:"] {
                let text = try #require(lines.first { $0.hasPrefix(set) }).drop { $0 != "\t" }.dropFirst()
                let bits = try #require(UInt64(text, radix: 16))
                // CAP_DAC_READ_SEARCH is 2, CAP_SYS_ADMIN is 21.
                #expect(bits & ~(1 << 2 | 1 << 21) == 0, "\(thread) \(set) \(text)")
            }
            #expect(lines.contains("NoNewPrivs:\t1"))
        }
        kill(mounted.process, SIGTERM)
        #expect(mounted.code() == 0)
        #expect((try? MountTable.current().top(at: mounted.mountpoint)) == nil)
    }

    /// What asking for it adds to the flags of a thread, as /proc shows them; 0 where it may not be asked.
    private static let noIO: UInt = {
        let added = Mutex<UInt?>(nil)
        // The flags stay with the thread to its end.
        try? Thread.start {
            let before = flags(of: "thread-self")
            _ = linux_reclaim_without_io()
            let after = flags(of: "thread-self")
            added.withLock { $0 = after & ~before }
        }
        _ = Patience.until { added.withLock { $0 } != nil }
        return added.withLock { $0 } ?? 0
    }()

    private static func flags(of task: String) -> UInt {
        flags(in: (try? Files.text(of: "/proc/\(task)/stat")) ?? "")
    }

    private static func flags(in text: String) -> UInt {
        let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
        return fields.count > 7 ? UInt(fields[7]) ?? 0 : 0
    }

    @Test(
        "no memory that the daemon takes waits for I/O, where the guard keeps it within what there is",
        .enabled(if: noIO != 0, "no CAP_SYS_RESOURCE, or a kernel before 5.6"))
    func withoutIO() throws {
        for (options, expected) in [([], Self.noIO), (["--memory-guard", "none"], 0)] {
            let mounted = Mounted(["--size", "16M"] + options)
            #expect(mounted.isReady)
            #expect(Program.run(["status", mounted.mountpoint]).code == 0)
            let threads = try Files.names(in: "/proc/\(mounted.process)/task")
            #expect(threads.count > 4)
            for thread in threads {
                let flags = Self.flags(of: "\(mounted.process)/task/\(thread)")
                #expect(flags & Self.noIO == expected, "\(thread)")
            }
        }
        let command = Program.run(["run", "--", "cat", "/proc/self/stat"])
        #expect(command.code == 0 && Self.flags(in: command.out) & Self.noIO == 0, "\(command)")
    }

    @Test("--mlock locks what is used, and what is freed goes back all the same")
    func lockedMemory() throws {
        func locked(_ process: pid_t) throws -> (locked: Int, resident: Int) {
            let lines = try Files.text(of: "/proc/\(process)/status").split(separator: "\n")
            let numbers = ["VmLck:", "VmRSS:"].map { name in
                lines.first { $0.hasPrefix(name) }?.split(whereSeparator: { $0 == " " || $0 == "\t" })[1]
                    ?? ""
            }
            return (Int(numbers[0]) ?? 0, Int(numbers[1]) ?? 0)
        }
        let mounted = Mounted(["--size", "200M", "--mlock", "--keep-free", "0"])
        #expect(mounted.isReady, "\(mounted.err)")
        let before = try locked(mounted.process)
        #expect(before.locked > before.resident / 2)
        let fill = "head -c 100000000 /dev/zero >'\(mounted.mountpoint)/x'"
        _ = Program.spawnAndWait("/bin/sh", ["sh", "-c", fill], into: "/dev/null")
        #expect(try locked(mounted.process).resident > before.resident + 90_000)
        _ = Program.spawnAndWait("/bin/rm", ["rm", "\(mounted.mountpoint)/x"], into: "/dev/null")
        let entry = try #require(mounted.entry)
        // The kernel forgets the file a moment after its last use.
        #expect(try Patience.until { try Client.status(of: entry).nodes == 1 })
        #expect(try locked(mounted.process).resident < before.resident + 20_000)
        kill(mounted.process, SIGTERM)
        #expect(mounted.code() == 0)
    }

    /// How many pages were put in place for the threads of the daemon that serve no requests.
    private func faultsBesideRequests(of process: pid_t) throws -> Int {
        var sum = 0
        for thread in try Files.names(in: "/proc/\(process)/task") {
            let text = try Files.text(of: "/proc/\(process)/task/\(thread)/stat")
            guard !text.contains("(dmemfs-fuse)") else { continue }
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            sum += Int(fields[8]) ?? 0
        }
        return sum
    }

    @Test("while a large file is written, the memory for its next piece is made ready")
    func preparedMemory() throws {
        let mounted = Mounted(["--size", "64M"])
        #expect(mounted.isReady, "\(mounted.err)")
        let before = try faultsBesideRequests(of: mounted.process)
        let fill = "dd if=/dev/zero of='\(mounted.mountpoint)/x' bs=1M count=1"
        #expect(Program.spawnAndWait("/bin/sh", ["sh", "-c", fill], into: "/dev/null") == 0)
        // A MiB and the few faults of everything else; it need not be there when the write has returned.
        let deadline = Files.monotonicMilliseconds() + 10_000
        var faults = 0
        repeat {
            ProcessWatch.pause(milliseconds: 10)
            faults = try faultsBesideRequests(of: mounted.process) - before
        } while faults < 256 && Files.monotonicMilliseconds() < deadline
        #expect(faults >= 256 && faults < 400, "\(faults) faults")
        kill(mounted.process, SIGTERM)
        #expect(mounted.code() == 0)
    }

    @Test("umount --force takes away a mount whose daemon hangs, and its users get an error")
    func force() throws {
        let mounted = Mounted()
        #expect(mounted.isReady)
        kill(mounted.process, SIGSTOP)
        defer { kill(mounted.process, SIGCONT) }
        let words = ["sh", "-c", "cat '\(mounted.mountpoint)/x'"]
        let reader = Program.spawn("/bin/sh", words, into: "\(mounted.folder)/reader")
        let forced = Program.run(["umount", "--force", mounted.mountpoint])
        #expect(forced.code == 0, "\(forced)")
        #expect(Program.end(of: reader) == 1)
        #expect((try? MountTable.current().top(at: mounted.mountpoint)) == nil)
        kill(mounted.process, SIGCONT)
        #expect(mounted.code() == 0 || mounted.code() == 32)
    }

    @Test("umount --force takes away what hangs and nobody uses")
    func forcedUnused() throws {
        let mounted = Mounted()
        #expect(mounted.isReady)
        kill(mounted.process, SIGSTOP)
        let forced = Program.run(["umount", "--force", mounted.mountpoint])
        kill(mounted.process, SIGCONT)
        #expect(forced.code == 0 && forced.err == "", "\(forced)")
        #expect(try MountTable.current().top(at: mounted.mountpoint) == nil)
        #expect(mounted.code() == 0 || mounted.code() == 32)
    }

    @Test("in the background it logs to the journal, or to syslog, and says who filled it once a minute")
    func log() throws {
        try Script.run(Script.apart("log.sh"))
    }
}
