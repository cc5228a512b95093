import Basics
import Control
import Daemon
import Glibc
import Support
import Testing

@Suite("what was refused, and why", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct WhyTests {
    private static let user: UInt32 = 65_534

    /// Runs a program of the user's to its end, which fails, and returns its process.
    private func fail(_ words: [String], on mount: Mounted, asUser user: UInt32 = user) -> pid_t {
        let rights = ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--"]
        let process = Program.spawn("/usr/bin/env", ["env"] + rights + words, into: "\(mount.folder)/user")
        #expect(Program.end(of: process) != 0, "\(words) was not refused")
        return process
    }

    private func dd(_ file: String, _ words: [String]) -> [String] {
        ["dd", "if=/dev/zero", "of=\(file)"] + words
    }

    private func python(_ lines: String) -> [String] { ["/usr/bin/python3", "-c", lines] }

    private func why(_ mount: Mounted, _ words: [String] = [], asUser user: UInt32? = nil) throws
        -> [RefusalEntry]
    {
        let asked = Program.run(["why", mount.mountpoint, "--json"] + words, asUser: user)
        #expect(asked.code == 0 && asked.err == "", "\(asked)")
        return try JSON.decode(RefusalList.self, from: Array(asked.out.utf8)).refusals
    }

    /// The one refusal there is, of a process of the user's, and in plain words.
    private func only(
        _ mount: Mounted, kind: String, _ errno: String, _ operation: String, path: String, of process: pid_t,
        _ command: String, says words: String, at location: SourceLocation = #_sourceLocation
    ) throws -> RefusalEntry {
        let all = try why(mount)
        try #require(all.count == 1, "\(all)", sourceLocation: location)
        let entry = all[0]
        #expect(entry.kind == kind && entry.errno == errno, "\(entry)", sourceLocation: location)
        #expect(
            entry.operation == operation && entry.path.value == path, "\(entry)", sourceLocation: location)
        let isHis = entry.pid.value == Int(process) && entry.user.value == Int(Self.user)
        #expect(isHis && entry.command.value == command, "\(entry)", sourceLocation: location)
        #expect(abs(entry.time - Double(time(nil))) < 60 && entry.lastTime >= entry.time)
        let said = Program.run(["why", mount.mountpoint])
        let line = said.out.split(whereSeparator: \.isNewline).joined(separator: " ")
        for part in ["\(operation) \(mount.mountpoint)/\(path): \(errno)", "process \(process)", words] {
            let isThere = line.replacing("     ", with: " ").replacing("    ", with: " ").contains(part)
            #expect(isThere, "\(part) is missing: \(said.out)", sourceLocation: location)
        }
        let widest = said.out.split(separator: "\n").map(\.count).max() ?? 0
        #expect(widest <= 80, "\(said.out)", sourceLocation: location)
        let status = try Client.status(of: try #require(mount.entry)).refusals.summary
        #expect(status.hasSuffix("for \(kind)"), "\(status)", sourceLocation: location)
        return entry
    }

    @Test("nothing refused is said, and bad words are told apart")
    func nothing() throws {
        let mount = Mounted()
        try #require(mount.isReady)
        let said = Program.run(["why", mount.mountpoint])
        #expect(said.code == 0 && said.out == "\(mount.mountpoint): nothing was refused\n", "\(said)")
        #expect(try why(mount).isEmpty)
        #expect(Program.run(["why", mount.mountpoint, "--last", "0"]).code == 64)
        #expect(Program.run(["why", "/proc"]).code == 69)
        #expect(mount.err == "")
    }

    /// Rule: limits.why
    @Test("bytes: the file is found by its number, and the figures are those of the moment")
    func bytes() throws {
        let mount = Mounted(["--size", "4M"])
        try #require(mount.isReady)
        let folder = "\(mount.mountpoint)/a/b c"
        for path in ["\(mount.mountpoint)/a", folder] { try Files.makeFolder(path, mode: 0o777) }
        #expect(unsafe chmod(folder, 0o777) == 0)
        let process = fail(dd("\(folder)/big", ["bs=1M", "count=9"]), on: mount)
        let entry = try only(
            mount, kind: "bytes", "ENOSPC", "write", path: "a/b c/big", of: process, "dd",
            says: "of 4 MiB free")
        let (asked, free) = (try #require(entry.asked.value), try #require(entry.free.value))
        // Its index costs a little beside the data.
        #expect(asked >= 1 << 20 && asked < 1 << 20 + 1 << 16 && free < asked && free > 0, "\(entry)")
        #expect(entry.limit.value == 4 << 20 && entry.unit == "bytes" && entry.limitDirectory.value == nil)
        #expect(Files.number(of: "\(folder)/big") == UInt64(entry.inode))
        awaitLog(of: mount, "process \(process) (dd) of user \(Self.user): no space left on device")
        awaitLog(of: mount, "user \(Self.user) holds most")
        // Who looks later, when it has gone, sees what was found then.
        try Files.remove("\(folder)/big")
        #expect(try why(mount) == [entry])
    }

    @Test("nodes: the name that was to be made")
    func nodes() throws {
        let mount = Mounted(["--max-nodes", "3"])
        try #require(mount.isReady)
        try Files.makeFolder("\(mount.mountpoint)/a", mode: 0o777)
        #expect(unsafe chmod("\(mount.mountpoint)/a", 0o777) == 0)
        try Files.makeFolder("\(mount.mountpoint)/b", mode: 0o777)
        let process = fail(["mkdir", "\(mount.mountpoint)/a/new"], on: mount)
        let entry = try only(
            mount, kind: "nodes", "EMFILE", "mkdir", path: "a/new", of: process, "mkdir",
            says: "asked for 1 node; the mount had 0 of 3 nodes free")
        #expect(entry.asked.value == 1 && entry.free.value == 0 && entry.limit.value == 3)
        #expect(entry.unit == "nodes" && entry.count == 1)
    }

    @Test(
        "a directory's quota is named, of two within one another the one that refused",
        arguments: [
            (["--size", "1M"], "write", "inner/big"), (["--max-nodes", "1"], "create", "inner/big"),
        ])
    func directory(limits: [String], operation: String, path: String) throws {
        let mount = Mounted()
        try #require(mount.isReady)
        let (outer, inner) = ("\(mount.mountpoint)/outer", "\(mount.mountpoint)/outer/inner")
        for path in [outer, inner] { try Files.makeFolder(path, mode: 0o777) }
        #expect(unsafe chmod(inner, 0o777) == 0)
        #expect(Program.run(["quota", "set", outer, "--size", "8M"]).code == 0)
        #expect(Program.run(["quota", "set", inner] + limits).code == 0)
        let process = fail(dd("\(inner)/big", ["bs=512k", "count=9"]), on: mount)
        let entry = try only(
            mount, kind: "directory", "EDQUOT", operation, path: "outer/\(path)", of: process, "dd",
            says: "the quota of \(inner) had")
        #expect(entry.limitDirectory.value == "outer/inner")
        let isBytes = entry.unit == "bytes"
        #expect(entry.limit.value == (isBytes ? 1 << 20 : 1) && isBytes == (operation == "write"))
        awaitLog(of: mount, "\(inner) has reached its quota of \(isBytes ? "1 MiB" : "1 node"); refused")
    }

    @Test("the memory guard")
    func memoryGuard() throws {
        let mount = Mounted(["--size", "16M", "--memory-guard-headroom", "8191P", "--keep-free", "0"])
        try #require(mount.isReady)
        let process = fail(["mkdir", "\(mount.mountpoint)/new"], on: mount)
        let entry = try only(
            mount, kind: "guard", "ENOSPC", "mkdir", path: "new", of: process, "mkdir",
            says: "the memory guard left 0 B")
        #expect((entry.asked.value ?? 0) > 0 && entry.free.value == 0 && entry.limit.value == nil)
    }

    @Test("the storage kind, and the promotion limit")
    func storage() throws {
        let mount = Mounted(["--storage", "sequential"])
        try #require(mount.isReady)
        let file = "\(mount.mountpoint)/log"
        let process = fail(
            python("f = open('\(file)', 'wb', 0); f.write(b'1' * 100); f.seek(10); f.write(b'2')"), on: mount)
        let entry = try only(
            mount, kind: "storage", "EOPNOTSUPP", "write", path: "log", of: process, "python3",
            says: "its files are append only")
        #expect(entry.asked.value == nil && entry.free.value == nil && entry.limit.value == nil)
        let limited = Mounted(["--promotion-limit", "4k"])
        try #require(limited.isReady)
        let other = fail(
            python(
                "f = open('\(limited.mountpoint)/f', 'wb', 0); f.write(b'1' * 5000); f.truncate(9999)"),
            on: limited)
        let truncation = try only(
            limited, kind: "storage", "EOPNOTSUPP", "truncate", path: "f", of: other, "python3",
            says: "files over 4 KiB stay sequential")
        #expect(truncation.limit.value == 4096)
    }

    @Test("a page that the kernel cannot write back has no writer, least of all root")
    func writeback() throws {
        let mount = Mounted(["--size", "1M"])
        try #require(mount.isReady)
        let lines = """
            import mmap
            f = open('\(mount.mountpoint)/mapped', 'wb+')
            f.truncate(4 << 20)
            m = mmap.mmap(f.fileno(), 4 << 20)
            m[:] = b'x' * (4 << 20)
            m.flush()
            """
        _ = fail(python(lines), on: mount)
        let all = try why(mount)
        try #require(!all.isEmpty)
        for entry in all {
            #expect(entry.kind == "writeback" && entry.operation == "writeback", "\(entry)")
            #expect(entry.user.value == nil && entry.pid.value == nil && entry.command.value == nil)
            #expect(entry.path.value == "mapped" && entry.errno == "ENOSPC" && entry.limit.value == 1 << 20)
        }
        let said = Program.run(["why", mount.mountpoint]).out
        #expect(said.contains("a writer unknown dirtied the page") && !said.contains("user"), "\(said)")
        #expect(try why(mount, asUser: Self.user).isEmpty)
        let status = try Client.status(of: try #require(mount.entry)).refusals
        #expect(status.writeback > 0 && status.bytes == 0)
        #expect(all.map(\.count).reduce(0, +) == status.writeback)
        awaitLog(of: mount, "has lost a page")
        awaitLog(of: mount, "(writer unknown)")
    }

    @Test("a user sees his own refusals only, and what comes again and again is counted")
    func rights() throws {
        let mount = Mounted(["--size", "4M", "--max-nodes", "3"])
        try #require(mount.isReady)
        _ = fail(dd("\(mount.mountpoint)/f", ["bs=1M", "count=9"]), on: mount)
        _ = fail(
            python(
                """
                import os
                for n in range(100):
                    try: os.mkdir(f'\(mount.mountpoint)/x{n}')
                    except OSError: pass
                raise SystemExit(1)
                """), on: mount, asUser: 0)
        let all = try why(mount)
        #expect(all.map(\.user.value) == [Int(Self.user), 0], "\(all)")
        #expect(all.last?.count == 99 && all.last?.path.value == "x1", "\(all)")
        #expect(try why(mount, asUser: Self.user) == Array(all.prefix(1)))
        #expect(try why(mount, asUser: 12345).isEmpty)
        #expect(try why(mount, ["--last", "1"]) == Array(all.suffix(1)))
    }

    @Test("the last 256 are kept, and a name cannot write to the terminal")
    func ring() throws {
        let mount = Mounted(["--max-nodes", "1"])
        try #require(mount.isReady)
        // Each thread is another process to the kernel.
        let lines = """
            import os, threading
            def make(n):
                try: os.mkdir(f'\(mount.mountpoint)/\\x1b[2J{n}')
                except OSError: pass
            for n in range(400):
                t = threading.Thread(target=make, args=(n,)); t.start(); t.join()
            raise SystemExit(1)
            """
        let process = fail(python(lines), on: mount)
        let all = try why(mount, ["--last", "1000"])
        #expect(all.map(\.number) == Array(145...400), "\(all.map(\.number))")
        // Where there were too many to look at each, it is the thread.
        #expect(all.allSatisfy { $0.command.value == nil || $0.pid.value == Int(process) })
        #expect(all.last?.path.value == "\u{1b}[2J399")
        #expect(try why(mount).count == 20)
        let said = Program.run(["why", mount.mountpoint]).out
        #expect(said.contains("/?[2J399: EMFILE") && !said.contains("\u{1b}"), "\(said)")
    }

    private func awaitLog(
        of mount: Mounted, _ words: String, at location: SourceLocation = #_sourceLocation
    ) {
        #expect(Patience.until { mount.err.contains(words) }, "\(mount.err)", sourceLocation: location)
    }
}
