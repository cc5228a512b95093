import Basics
import CLinux
import Glibc
import Support
import Testing

@Suite(
    "Node limits and storage", .serialized, .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"))
struct NodeLimitTests {
    /// Makes files until the mount holds `count` nodes, of which the root is one.
    private func fill(_ mount: MountFixture, nodes count: Int) throws {
        for index in 1..<count {
            try Kernel.close(try Kernel.open(mount.path / "f\(index)", O_WRONLY | O_CREAT))
        }
    }

    /// Rule: limits.nodes
    @Test(
        "the node that is one too many fails with EMFILE, and one less makes room",
        arguments: MountFixture.engines)
    func tooMany(engine: String) throws {
        try MountFixture.use(["--size", "16M", "--io", engine, "--max-nodes", "100"]) { mount in
            let start = try mount.usedBytes()
            try fill(mount, nodes: 100)
            let extra = mount.path / "extra"
            let attempts: [(String, () throws -> Void)] = [
                ("open", { try Kernel.close(try Kernel.open(extra, O_WRONLY | O_CREAT)) }),
                ("mkdir", { try Kernel.mkdir(extra) }),
                ("symlink", { try Kernel.symlink("x", extra) }),
                ("mknod", { try Kernel.mknod(extra, S_IFIFO | 0o600) }),
                ("O_TMPFILE", { try Kernel.close(try Kernel.open(mount.path, linux_o_tmpfile | O_RDWR)) }),
            ]
            for (name, attempt) in attempts {
                #expect(throws: Errno.tooManyOpenFiles, "\(name)") { try attempt() }
            }
            let figures = try Kernel.statvfs(mount.path)
            #expect(figures.f_files == 100)
            #expect(figures.f_ffree == 0)
            let shown = try Program.run(["df", "--output=itotal,iused,iavail", "\(mount.path)"], in: "/")
            #expect(shown.output.split(separator: "\n").last?.split(separator: " ") == ["100", "100", "0"])

            try Kernel.link(mount.path / "f1", extra)
            try Kernel.unlink(extra)
            for (name, attempt) in attempts.dropLast() {
                try Kernel.unlink(mount.path / "f1")
                // A removed node counts until the kernel has forgotten it; a refusal waits for that.
                #expect(throws: Never.self, "\(name) after an unlink") { try attempt() }
                if name == "mkdir" { try Kernel.rmdir(extra) } else { try Kernel.unlink(extra) }
                try Kernel.close(try Kernel.open(mount.path / "f1", O_WRONLY | O_CREAT))
            }
            let refusals = try mount.status().refusals("nodes")
            for _ in 0..<300 {
                try Kernel.unlink(mount.path / "f1")
                try Kernel.close(try Kernel.open(mount.path / "f1", O_WRONLY | O_CREAT))
            }
            let refusalsAfter = try mount.status().refusals("nodes")
            #expect(refusalsAfter == refusals)
            for index in 1..<100 { try Kernel.unlink(mount.path / "f\(index)") }
            let left = try mount.settledUsage(start)
            #expect(left == start)
            let free = try Kernel.statvfs(mount.path).f_ffree
            #expect(free == 99)
        }
    }

    /// Rule: limits.nodes
    @Test("the node limit's errno can be chosen")
    func otherErrno() throws {
        try MountFixture.use(["--size", "16M", "--max-nodes", "10", "--node-limit-errno", "ENOSPC"]) {
            mount in
            try fill(mount, nodes: 10)
            #expect(throws: Errno.noSpace) { try Kernel.mkdir(mount.path / "d") }
            let status = try mount.status()
            let nodes = try status.number("nodes")
            #expect(nodes == 10)
        }
    }

    /// Rule: limits.failed
    @Test("a thousand refused creates cost nothing")
    func refusedCreates() throws {
        try MountFixture.use(["--size", "16M", "--max-nodes", "10"]) { mount in
            try fill(mount, nodes: 10)
            let used = try mount.usedBytes()
            for index in 0..<1000 {
                #expect(throws: Errno.tooManyOpenFiles) { try Kernel.mkdir(mount.path / "d\(index)") }
            }
            let after = try mount.settledUsage(used)
            #expect(after == used)
        }
    }

    /// Rule: limits.storage
    @Test("sequential storage takes appends, and refuses the rest without a change")
    func sequential() throws {
        try MountFixture.use(["--size", "16M", "--storage", "sequential"]) { mount in
            let file = mount.path / "f"
            let fd = try Kernel.open(file, O_RDWR | O_CREAT)
            defer { _ = close(fd) }
            try Kernel.write(fd, Array("0123456789".utf8))
            try Kernel.write(fd, Array("abc".utf8))
            let before = try Kernel.stat(fd)
            let used = try mount.usedBytes()
            let refused: [(String, () throws -> Void)] = [
                ("a write in the middle", { try Kernel.write(fd, [1], at: 5) }),
                ("a write past the end", { try Kernel.write(fd, [1], at: 100) }),
                ("a growing truncate", { try Kernel.truncate(fd, 100) }),
                ("fallocate", { try Kernel.fallocate(fd, 0, 0, 100) }),
                (
                    "a hole",
                    { try Kernel.fallocate(fd, linux_falloc_punch_hole | linux_falloc_keep_size, 0, 5) }
                ),
            ]
            for (name, attempt) in refused {
                #expect(throws: Errno.notSupported, "\(name)") { try attempt() }
            }
            let after = try Kernel.stat(fd)
            let usedAfter = try mount.usedBytes()
            let bytes = try Kernel.read(fd, at: 0, 99)
            #expect(bytes == Array("0123456789abc".utf8))
            #expect(after.st_size == before.st_size)
            #expect(after.modified == before.modified)
            #expect(usedAfter == used)
            try Kernel.truncate(fd, 4)
            try Kernel.write(fd, Array("!".utf8), at: 4)
            let shortened = try Kernel.read(fd, at: 0, 99)
            #expect(shortened == Array("0123!".utf8))
        }
    }

    @Test("auto storage promotes and works, and many appends of one byte cost about their bytes")
    func automatic() throws {
        try MountFixture.use(["--size", "32M", "--storage", "auto"]) { mount in
            let fd = try Kernel.open(mount.path / "f", O_RDWR | O_CREAT)
            defer { _ = close(fd) }
            try Kernel.write(fd, Array("0123456789".utf8))
            try Kernel.write(fd, Array("XY".utf8), at: 4)
            try Kernel.write(fd, Array("end".utf8), at: 1_000_000)
            let bytes = try Kernel.read(fd, at: 0, 12)
            let tail = try Kernel.read(fd, at: 999_999, 9)
            #expect(bytes == Array("0123XY6789".utf8) + [0, 0])
            #expect(tail == [0] + Array("end".utf8))

            let start = try mount.usedBytes()
            let log = try Kernel.open(mount.path / "log", O_WRONLY | O_CREAT | O_APPEND)
            defer { _ = close(log) }
            for _ in 0..<100_000 { try Kernel.write(log, [1]) }
            let cost = try mount.usedBytes() - start
            #expect(cost < 200_000, "a hundred thousand bytes cost \(cost)")
        }
    }
}
