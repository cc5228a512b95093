import Basics
import CLinux
import Control
import Daemon
import Glibc
import Support
import Testing

@Suite("resizing a mount in use", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct ResizeTests {
    private let mount = Mounted(["--size", "16M", "--max-nodes", "100"])

    private func fill(_ mebibytes: Int) -> Int32 {
        let words = [
            "dd", "if=/dev/zero", "of=\(mount.mountpoint)/file", "bs=1M", "count=\(mebibytes)",
            "conv=notrunc",
        ]
        return Program.spawnAndWait("/bin/dd", words, into: "\(mount.folder)/dd")
    }

    private func resize(_ words: [String], asUser user: UInt32? = nil) -> Program.Outcome {
        Program.run(["resize", mount.mountpoint] + words, asUser: user)
    }

    private func status() throws -> Status {
        let asked = Program.run(["status", "--json", mount.mountpoint])
        return try JSON.decode(Status.self, from: Array(asked.out.utf8))
    }

    /// The size of the filesystem as df sees it, in bytes.
    private var size: Int {
        var figures = statvfs()
        guard unsafe statvfs(mount.mountpoint, &figures) == 0 else { return -1 }
        return Int(figures.f_blocks * figures.f_frsize)
    }

    @Test("it grows, and status and df say so at once")
    func grow() throws {
        try #require(mount.isReady)
        #expect(fill(20) != 0 && size == 16 << 20)
        let grown = resize(["32M"])
        #expect(grown.code == 0 && grown.err == "" && grown.out.contains("limit 32 MiB (33554432 bytes)"))
        #expect(size == 32 << 20)
        #expect(try status().limitBytes == 32 << 20)
        #expect(fill(20) == 0)
        #expect(resize(["32M", "--max-nodes", "1k"]).out.contains("1024 nodes"))
        #expect(try status().maxNodes.value == 1024)
    }

    @Test("below what is in use it is refused with the figures, and nothing changes")
    func shrink() throws {
        try #require(mount.isReady)
        #expect(fill(10) == 0)
        let before = try status()
        let refused = resize(["8M", "--max-nodes", "50"])
        #expect(refused.code == 1 && refused.errLines.count == 1)
        for part in ["8 MiB (8388608 bytes)", "(\(before.usedBytes) bytes) are in use", "--drain"] {
            #expect(refused.err.contains(part), "\(refused.err)")
        }
        let nodes = resize(["12M", "--max-nodes", "1"])
        #expect(nodes.code == 1 && nodes.err.contains("2 nodes are in use"), "\(nodes.err)")
        let after = try status()
        #expect(after.limitBytes == before.limitBytes && after.maxNodes.value == 100)
        #expect(size == 16 << 20)
        #expect(resize(["12M"]).code == 0 && size == 12 << 20)
    }

    @Test("to drain it goes below use; then nothing grows, and deleting and overwriting work")
    func drain() throws {
        try #require(mount.isReady)
        #expect(fill(10) == 0)
        #expect(resize(["4M", "--drain"]).code == 0)
        let draining = try status()
        #expect(draining.limitBytes == 4 << 20 && draining.usedBytes > 10 << 20 && draining.freeBytes == 0)
        #expect(draining.metadataBytes >= 0 && size == 4 << 20)
        #expect(fill(10) == 0, "an overwrite")
        #expect(fill(11) != 0, "a growth")
        _ = unsafe unlink("\(mount.mountpoint)/file")
        #expect(try Patience.until { try status().usedBytes <= 4 << 20 })
        #expect(fill(3) == 0)
        #expect(fill(5) != 0)
    }

    @Test("a stranger may not, and bad words are usage errors")
    func refusals() throws {
        try #require(mount.isReady)
        let stranger = resize(["32M"], asUser: 65_534)
        #expect(stranger.code == 1, "\(stranger)")
        #expect(stranger.err == "dmemfs: permission denied: only root and the mount's owner\n")
        #expect(size == 16 << 20)
        for words in [["0"], ["-1"], ["x"], ["101%"], ["1M", "--max-nodes", "x"]] {
            #expect(resize(words).code == 64, "\(words)")
        }
        #expect(Program.run(["resize", "/nowhere", "1M"]).code == 69)
        let share = resize(["50%"])
        #expect(share.code == 0 && size > 16 << 20)
    }

    @Test("more than the machine has is warned about, and more than there are addresses for is refused")
    func large() throws {
        try #require(mount.isReady)
        let total = try MachineMemory.available()
        let warned = resize(["\(total)"])
        #expect(warned.code == 0 && warned.err.contains("warning: the limit of"), "\(warned)")
        #expect(warned.errLines.count == 1)
        let refused = resize(["7E"])
        #expect(refused.code == 1 && refused.err.contains("at the most"), "\(refused)")
    }

    @Test("the request itself: what is malformed, too long or not permitted changes nothing")
    func requests() throws {
        try #require(mount.isReady)
        let minor = try #require(mount.entry).deviceMinor
        let path = "/run/dmemfs/\(minor).sock"
        let put = "PUT /v1/limits HTTP/1.1\r\nContent-Length: "
        let questions = [
            ("\(put)2\r\n\r\n{}", "400"), ("\(put)3\r\n\r\n{x}", "400"), ("\(put)0\r\n\r\n", "400"),
            ("\(put)16\r\n\r\n{\"size\":\"nought\"}", "400"), ("\(put)99999\r\n\r\n", "413"),
            ("\(put)99999999999999999999\r\n\r\n", "413"), ("\(put)-1\r\n\r\n", "413"),
            ("\(put)2\r\nContent-Length: 3\r\n\r\n{}", "400"), ("PUT /v1/limits HTTP/1.1\r\n\r\n", "400"),
            ("\(put)13\r\n\r\n{\"size\":\"9M\"}", "200"),
        ]
        for (question, code) in questions {
            let connection = unsafe linux_socket_connect(path, 10)
            defer { close(connection) }
            try Files.write(Array(question.utf8), to: connection)
            var answer: [UInt8] = []
            while let part = try? Files.read(connection, upTo: 4096), !part.isEmpty { answer += part }
            let head = String(decoding: answer.prefix(12), as: UTF8.self)
            #expect(head == "HTTP/1.1 \(code)", "to \(question)")
        }
        #expect(size == 9 << 20)
    }
}

@Suite("the memory guard of the program", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct ProgramGuardTests {
    /// More than any machine has free, and less than there are numbers for.
    private static let huge = "1000t"

    @Test("the start check refuses, warns or is silent, as it is told")
    func start() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let mount = { (words: [String]) in
            Program.run(["mount", "--mkdir", "--size", Self.huge] + words + ["\(folder)/m"])
        }
        let refused = mount(["--memory-guard", "init"])
        #expect(refused.code == 32 && refused.errLines.count == 1, "\(refused)")
        #expect(refused.err.contains("the limit of 1000 TiB and 32 MiB of overhead are more than can be had"))
        #expect(try MountTable.current().top(at: "\(folder)/m") == nil)
        let cases = [
            (["--memory-guard", "init", "--memory-guard-action", "warn"], 1), ([], 1),
            (["-o", "memory_guard=none"], 0),
        ]
        for (words, lines) in cases {
            let outcome = mount(words)
            #expect(outcome.code == 0 && outcome.errLines.count == lines, "\(outcome)")
            if lines > 0 { #expect(outcome.err.hasPrefix("dmemfs: warning: the limit of"), "\(outcome)") }
            #expect(Program.run(["umount", "--timeout", "10s", "\(folder)/m"]).code == 0)
        }
    }

    @Test("a guard whose headroom nothing leaves refuses, counts, says so, and leaves deletion alone")
    func refuses() throws {
        let mount = Mounted(["--size", "16M", "--memory-guard-headroom", Self.huge, "--keep-free", "0"])
        try #require(mount.isReady)
        let write = { (text: String) in
            let words = ["sh", "-c", "printf '\(text)' >'\(mount.mountpoint)/file'"]
            return Program.spawnAndWait("/bin/sh", words, into: "\(mount.folder)/sh")
        }
        #expect(write("x") != 0)
        let asked = Program.run(["status", "--json", mount.mountpoint])
        let status = try JSON.decode(Status.self, from: Array(asked.out.utf8))
        #expect(status.refusals.memoryGuard > 0 && status.refusals.bytes == 0)
        #expect(status.memoryGuard.mode == "per_write" && status.memoryGuard.action == "raise")
        #expect(status.memoryGuard.tripped && (status.memoryGuard.availableBytes.value ?? 0) > 0)
        var figures = statvfs()
        #expect(unsafe statvfs(mount.mountpoint, &figures) == 0)
        #expect(figures.f_bavail == 0 && figures.f_bfree > 0)
        #expect(Patience.until { mount.err.contains("memory is short") })
        #expect(mount.err.contains("files may not grow (ENOSPC)"), "\(mount.err)")
    }

    /// Rule: limits.guard
    @Test("real cgroups: a job that is refused lives, and the daemon is never killed")
    func cgroups() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let script = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/oom.sh"
        let words = ["sh", script, Program.path, "quick"]
        let code = Program.end(
            of: Program.spawn("/bin/sh", words, into: "\(folder)/oom"), withinMilliseconds: 120_000)
        let said = try Files.text(of: "\(folder)/oom.out")
        guard code != 77 else {
            print("real cgroups: \(said)", terminator: "")
            return
        }
        let complaint = try Files.text(of: "\(folder)/oom.err")
        #expect(code == 0, "\(said)\(complaint)")
    }
}
