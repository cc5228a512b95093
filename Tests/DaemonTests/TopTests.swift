import Basics
import CLinux
import Control
import Daemon
import Glibc
import Support
import Synchronization
import Testing

/// What `dmemfs top --json` prints, as far as the tests look at it.
private struct Report: Decodable {
    struct Entry: Decodable {
        var path: String?
        var uid: Int?
        var bytes: Int
        var nodes: Int
    }

    struct Unlinked: Decodable {
        struct Holder: Decodable {
            var pid: Int
            var command: String
        }

        var inode: UInt64
        var bytes: Int
        var holders: [Holder]
    }

    var used_bytes: Int
    var limit_bytes: Int
    var nodes: Int
    var named_bytes: Int
    var named_nodes: Int
    var unlinked_bytes: Int
    var unlinked_nodes: Int
    var other_bytes: Int
    var entries: [Entry]
    var unlinked: [Unlinked]

    func entry(_ path: String) -> Entry? { entries.first { $0.path == path } }
}

@Suite("dmemfs top", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct TopTests {
    private func report(_ mountpoint: String, _ words: [String] = []) throws -> Report {
        let outcome = Program.run(["top", mountpoint, "--json", "-n", "1000"] + words)
        try #require(outcome.code == 0, "\(outcome)")
        return try JSON.decode(Report.self, from: Array(outcome.out.utf8))
    }

    private func write(_ count: Int, to path: String) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try Files.write([UInt8](repeating: 7, count: count), to: descriptor)
    }

    /// Directories three deep with files, links of both kinds, xattrs, and another user's.
    private func populate(_ place: String) throws {
        for path in ["a", "a/b", "a/b/c", "z"] { try Files.makeFolder("\(place)/\(path)", mode: 0o755) }
        for index in 0..<300 { try write(index * 10, to: "\(place)/a/b/c/file \(index)") }
        try write(1_000_000, to: "\(place)/a/large")
        try #require(unsafe link("\(place)/a/large", "\(place)/z/other name") == 0)
        try #require(unsafe link("\(place)/a/large", "\(place)/a/b/third") == 0)
        try #require(unsafe symlink(String(repeating: "t", count: 300), "\(place)/z/symlink") == 0)
        try #require(unsafe mkfifo("\(place)/z/pipe", 0o600) == 0)
        let label = ["setfattr", "-n", "user.x", "-v", "value", "\(place)/z"]
        try #require(Program.spawnAndWait("/usr/bin/setfattr", label, into: "/dev/null") == 0)
        for index in 0..<20 {
            let path = "\(place)/z/theirs\(index)"
            try write(5000, to: path)
            try #require(unsafe chown(path, 65_534, 65_534) == 0)
        }
    }

    @Test(
        "on a quiet mount all that is found comes to what status says, to the byte",
        arguments: ["memory", "strict", "passthrough"])
    func sums(engine: String) throws {
        let mount = Mounted(["--size", "64M", "--io", engine])
        guard mount.isReady else { return print("SKIPPED: engine \(engine): \(mount.err)") }
        let place = mount.mountpoint
        try populate(place)
        let entry = try #require(mount.entry)
        // Closing a file and forgetting what has lost its name are not waited for by programs.
        let directories = try report(place)
        let status = try Client.status(of: entry)
        #expect(directories.used_bytes == status.usedBytes && directories.nodes == status.nodes)
        #expect(directories.other_bytes == 0 && directories.unlinked_nodes == 0, "\(directories)")
        #expect(directories.named_bytes == status.usedBytes && directories.named_nodes == status.nodes)
        #expect(status.nodes == 1 + 4 + 300 + 1 + 2 + 20)
        let root = try #require(directories.entry("/"))
        #expect(root.bytes == status.usedBytes && root.nodes == status.nodes)
        let (a, z) = try (#require(directories.entry("/a")), #require(directories.entry("/z")))
        // The file with three names is in one of them.
        #expect(a.nodes + z.nodes + 1 == status.nodes && a.bytes + z.bytes < status.usedBytes)
        let c = try #require(directories.entry("/a/b/c"))
        #expect(c.nodes == 301 && c.bytes > 300 * 299 * 5 && directories.entries.count == 5)
        for order in ["user", "age"] {
            let report = try report(place, ["--by", order])
            #expect(report.entries.reduce(0) { $0 + $1.bytes } == status.usedBytes, "\(order)")
            #expect(report.entries.reduce(0) { $0 + $1.nodes } == status.nodes, "\(order)")
            if order == "user" { #expect(report.entries.first { $0.uid == 65_534 }?.nodes == 20) }
        }
        let files = try report(place, ["--by", "file"])
        #expect(files.entries.count == status.nodes - 5)
        let large = files.entries.filter { $0.bytes > 1_000_000 }
        let names = ["/a/large", "/z/other name", "/a/b/third"]
        #expect(large.count == 1 && names.contains(large.first?.path ?? ""), "\(large)")
    }

    @Test("what is set aside for a quota is no node's")
    func quotas() throws {
        let mount = Mounted(["--size", "64M"])
        try #require(mount.isReady)
        try populate(mount.mountpoint)
        let before = try report(mount.mountpoint)
        let set = ["quota", "set", "\(mount.mountpoint)/a", "--size", "8M", "--reserve"]
        #expect(Program.run(set).code == 1, "a link from outside")
        try Files.remove("\(mount.mountpoint)/z/other name")
        #expect(Program.run(set).code == 0)
        let after = try report(mount.mountpoint)
        let a = try #require(after.entry("/a"))
        #expect(after.named_bytes + after.other_bytes == after.used_bytes)
        #expect(after.other_bytes > (8 << 20) - a.bytes && after.named_bytes <= before.named_bytes)
    }

    @Test("what is open without a name is apart, with who holds it, by descriptor or by mapping")
    func unlinked() throws {
        let mount = Mounted(["--size", "64M"])
        try #require(mount.isReady)
        let place = mount.mountpoint
        let descriptor = unsafe open("\(place)/gone", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        let other = unsafe open("\(place)/mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        let nameless = unsafe open(place, O_RDWR | O_CLOEXEC | linux_o_tmpfile, 0o600)
        try #require(descriptor >= 0 && other >= 0 && nameless >= 0)
        try Files.write([UInt8](repeating: 1, count: 700_000), to: descriptor)
        try Files.write([UInt8](repeating: 1, count: 300_000), to: other)
        try Files.write([UInt8](repeating: 1, count: 100_000), to: nameless)
        let mapping = unsafe mmap(nil, 300_000, PROT_READ, MAP_SHARED, other, 0)
        let isMapped = unsafe mapping != MAP_FAILED
        try #require(isMapped)
        close(other)
        for name in ["gone", "mapped"] { try Files.remove("\(place)/\(name)") }
        let held = try report(place)
        #expect(held.unlinked_nodes == 3 && held.named_nodes == 1 && held.other_bytes == 0, "\(held)")
        #expect(held.named_bytes + held.unlinked_bytes == held.used_bytes)
        #expect(held.unlinked.map { $0.bytes / 100_000 } == [7, 3, 1], "\(held.unlinked)")
        for file in held.unlinked {
            #expect(file.holders.map(\.pid) == [Int(getpid())], "\(file)")
        }
        let text = Program.run(["top", place]).out
        #expect(text.contains("open without a name: 1") && text.contains("\(getpid()) ("), "\(text)")
        close(descriptor)
        close(nameless)
        unsafe munmap(mapping, 300_000)
        // The kernel forgets them a moment later.
        let entry = try #require(mount.entry)
        #expect(try Patience.until { try Client.status(of: entry).openUnlinkedBytes == 0 })
        #expect(try report(place).unlinked_nodes == 0)
    }

    /// Makes, renames and removes until it is told to end.
    private final class Writers: Sendable {
        let isOver = Atomic<Bool>(false)
        let running = Atomic<Int>(0)
        let rounds = Atomic<Int>(0)

        func start(_ count: Int, in place: String) throws(Errno) {
            for index in 0..<count {
                running.add(1, ordering: .relaxed)
                try Thread.start { [self] in
                    var round = 0
                    while !isOver.load(ordering: .relaxed) {
                        work("\(place)/w\(index)", round)
                        round += 1
                        rounds.add(1, ordering: .relaxed)
                    }
                    running.subtract(1, ordering: .releasing)
                }
            }
        }

        private func work(_ place: String, _ round: Int) {
            _ = unsafe mkdir("\(place)-\(round)", 0o755)
            for file in 0..<20 {
                close(unsafe open("\(place)-\(round)/\(file)", O_WRONLY | O_CREAT, 0o644))
            }
            // Into the last one, which moves with it, and so on.
            _ = unsafe rename("\(place)-\(round - 1)", "\(place)-\(round)/last")
            guard round % 8 == 7 else { return }
            _ = Program.spawnAndWait("/bin/rm", ["rm", "-rf", "\(place)-\(round)"], into: "/dev/null")
        }
    }

    @Test("while others make, move and remove, what nobody touches is counted exactly")
    func busy() throws {
        let mount = Mounted(["--size", "64M"])
        try #require(mount.isReady)
        let place = mount.mountpoint
        try Files.makeFolder("\(place)/still", mode: 0o755)
        try populate("\(place)/still")
        let quiet = try #require(report(place).entry("/still"))
        try Files.makeFolder("\(place)/busy", mode: 0o755)
        let writers = Writers()
        try writers.start(4, in: "\(place)/busy")
        for _ in 0..<10 {
            let before = writers.rounds.load(ordering: .relaxed)
            let report = try report(place)
            let still = try #require(report.entry("/still"))
            #expect(still.bytes == quiet.bytes && still.nodes == quiet.nodes)
            #expect(report.named_bytes > still.bytes && report.named_bytes < 2 * report.limit_bytes)
            let users = try self.report(place, ["--by", "user"])
            #expect(users.named_bytes >= quiet.bytes)
            #expect(Patience.until { writers.rounds.load(ordering: .relaxed) != before })
        }
        writers.isOver.store(true, ordering: .relaxed)
        #expect(Patience.until { writers.running.load(ordering: .acquiring) == 0 })
    }

    @Test("a stranger is refused, and bad words are told apart")
    func refusals() throws {
        let mount = Mounted()
        try #require(mount.isReady)
        let stranger = Program.run(["top", mount.mountpoint], asUser: 65_534)
        #expect(stranger.code == 1 && stranger.out == "" && stranger.errLines.count == 1, "\(stranger)")
        #expect(stranger.err.contains("only root and the mount's owner"))
        for (words, code) in [
            ([mount.mountpoint, "-n", "0"], 64), ([mount.mountpoint, "--by", "x"], 64), (["/proc"], 69),
        ] {
            let outcome = Program.run(["top"] + words)
            #expect(outcome.code == Int32(code) && outcome.errLines.count == 1, "\(outcome)")
        }
        // Not at a terminal it looks once.
        let once = Program.run(["top", mount.mountpoint, "--watch"])
        #expect(once.code == 0 && once.out.contains("DIRECTORY AND ALL BELOW"), "\(once)")
        #expect(!once.out.contains("\u{1b}"))
    }

    @Test("who asks for all nodes and does not read keeps nobody waiting")
    func slowReader() throws {
        let mount = Mounted(["--size", "64M"])
        try #require(mount.isReady)
        for index in 0..<40 {
            let folder = "\(mount.mountpoint)/\(index)"
            try Files.makeFolder(folder, mode: 0o755)
            for file in 0..<200 {
                let name = "\(folder)/" + String(repeating: "\(file) ", count: 40)
                try #require(unsafe mknod(name, 0o100644, 0) == 0)
            }
        }
        let stream = try NodeStream(of: try #require(mount.entry))
        var count = 0
        #expect(try stream.read { _, _ in count += 1 } == .goesOn)
        // The socket is full by now, and the daemon waits for us.
        try write(100_000, to: "\(mount.mountpoint)/meanwhile")
        while try stream.read({ _, _ in count += 1 }) == .goesOn {}
        #expect(count >= 40 * 201 + 1)
    }

    @Test("live at a terminal of 80 columns, which is as it was before after each end")
    func terminal() throws {
        let mount = Mounted(["--size", "64M"])
        try #require(mount.isReady)
        try Script.run(
            ["python3", "\(Script.project)/Tests/top.py", Program.path, mount.mountpoint], minutes: 5)
    }
}
