import Basics
import CLinux
import Glibc
import Support
import Testing

@Suite(
    "The limits on a mount", .serialized, .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"))
struct QuotaTests {
    private let mebibyte = 1 << 20

    /// Rule: limits.bytes
    @Test(
        "filling ends with ENOSPC, never above the limit, and overwriting works when full",
        arguments: MountFixture.ledgerEngines)
    func filling(engine: String) throws {
        try MountFixture.use(["--size", "64M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let file = mount.path / "x"
            let log = try Program.temporaryFile()
            defer { _ = close(log) }
            let writer = try Program.start(
                ["dd", "if=/dev/zero", "of=\(file)", "bs=1M", "count=200"], in: "/", output: log)
            var ended: Int32?
            while ended == nil {
                let status = try mount.status()
                let used = try status.number("used_bytes")
                let limit = try status.number("limit_bytes")
                let resident = try status.number("resident_bytes")
                #expect(used <= limit)
                #expect(limit == 64 << 20)
                #expect(resident <= used + 40 * mebibyte, "the daemon's memory agrees with \(status)")
                ended = try Program.wait(for: writer, seconds: 0)
            }
            #expect(ended != 0)
            let said = try Program.everything(in: log)
            #expect(said.contains("No space left on device"))
            let size = try Kernel.stat(file).st_size
            #expect(size >= 60 * mebibyte && size < 64 * mebibyte)

            let fd = try Kernel.open(file, O_RDWR)
            let pattern = [UInt8](repeating: 0xa5, count: mebibyte)
            for offset in [0, 12345, 30 * mebibyte, size - mebibyte] {
                let taken = try Kernel.write(fd, pattern, at: offset)
                #expect(taken == mebibyte)
            }
            #expect(throws: Errno.noSpace) { try Kernel.write(fd, pattern + pattern, at: size) }
            let sizeAfter = try Kernel.stat(fd).st_size
            let tail = try Kernel.read(fd, at: size - 10, 10)
            #expect(sizeAfter - size < 2 * mebibyte)
            #expect(tail == [UInt8](repeating: 0xa5, count: 10))
            try Kernel.close(fd)
            try Kernel.unlink(file)
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: limits.threads
    @Test(
        "many threads that fill a mount leave each file whole, empty or absent",
        arguments: MountFixture.ledgerEngines)
    func concurrentFilling(engine: String) throws {
        try MountFixture.use(["--size", "10M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let directory = mount.path
            let size = 100 * 1024
            Threads.together(10) { thread in
                let content = [UInt8](repeating: UInt8(thread + 1), count: size)
                for index in 0..<50 {
                    guard let fd = try? Kernel.open(directory / "\(thread)-\(index)", O_WRONLY | O_CREAT)
                    else { continue }
                    _ = try? Kernel.write(fd, content)
                    try? Kernel.close(fd)
                }
            }
            let status = try mount.status()
            let used = try status.number("used_bytes")
            #expect(used <= 10 << 20)
            var whole = 0
            for entry in try Kernel.list(directory) {
                let fd = try Kernel.open(directory / entry.name, O_RDONLY)
                let bytes = try Kernel.read(fd, size + 1)
                try Kernel.close(fd)
                #expect(bytes.isEmpty || bytes.count == size, "\(entry.text) has \(bytes.count) bytes")
                let owner = UInt8(entry.text.prefix { $0 != "-" }).map { $0 + 1 }
                #expect(bytes.allSatisfy { $0 == owner }, "\(entry.text) has its own bytes only")
                if bytes.count == size { whole += 1 }
                try Kernel.unlink(directory / entry.name)
            }
            #expect(whole > 80 && whole <= 102, "10 MiB hold nearly a hundred such files, not \(whole)")
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: fallocate.whole, limits.failed
    @Test("a refused write leaves the file as it was", arguments: MountFixture.ledgerEngines)
    func refusedWrite(engine: String) throws {
        try MountFixture.use(["--size", "8M", "--io", engine]) { mount in
            let fd = try Kernel.open(mount.path / "f", O_RDWR | O_CREAT)
            defer { _ = close(fd) }
            try Kernel.write(fd, [UInt8](repeating: 7, count: 7 * mebibyte))
            let before = try Kernel.stat(fd)
            let used = try mount.usedBytes()
            #expect(throws: Errno.noSpace) {
                try Kernel.fallocate(fd, 0, 0, 64 * mebibyte)
            }
            #expect(throws: Errno.noSpace) {
                try Kernel.fallocate(fd, linux_falloc_keep_size, 0, 64 * mebibyte)
            }
            #expect(throws: Errno.noSpace) {
                try Kernel.write(fd, [UInt8](repeating: 8, count: mebibyte), at: 7 * mebibyte)
            }
            let after = try Kernel.stat(fd)
            let bytes = try Kernel.read(fd, at: 0, 8 * mebibyte)
            let usedAfter = try mount.usedBytes()
            #expect(after.st_size == before.st_size)
            #expect(after.modified == before.modified)
            #expect(after.st_blocks == before.st_blocks)
            #expect(bytes == [UInt8](repeating: 7, count: 7 * mebibyte))
            #expect(usedAfter == used)
        }
    }

    @Test(
        "what was written over a longer file is there when the caches are gone",
        arguments: MountFixture.engines)
    func truncatingOpen(engine: String) throws {
        try MountFixture.use(["--size", "8M", "--io", engine]) { mount in
            let result = try Program.run(["sh", "-c", "echo long > f; echo x > f"], in: mount.path)
            #expect(result.status == 0)
            if geteuid() == 0, let fd = try? Kernel.open("/proc/sys/vm/drop_caches", O_WRONLY) {
                _ = try? Kernel.write(fd, Array("3".utf8))
                try Kernel.close(fd)
            }
            let shown = try Program.run(["cat", "f"], in: mount.path)
            #expect(shown.output == "x\n")
        }
    }

    /// Rule: nameless.freed
    @Test("an unlinked open file is charged until it is closed", arguments: MountFixture.engines)
    func unlinkedIsCharged(engine: String) throws {
        try MountFixture.use(["--size", "16M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let file = mount.path / "f"
            let fd = try Kernel.open(file, O_RDWR | O_CREAT)
            try Kernel.write(fd, [UInt8](repeating: 1, count: 4 * mebibyte))
            try Kernel.unlink(file)
            let status = try mount.status()
            let used = try status.number("used_bytes")
            let unlinked = try status.number("open_unlinked_bytes")
            #expect(used >= start + 4 * mebibyte)
            #expect(unlinked >= 4 * mebibyte)
            try Kernel.close(fd)
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: nameless.freed
    @Test("what a large file held is there for the next one as soon as it has been removed")
    func replacingLarge() throws {
        try MountFixture.use(["--size", "600M"]) { mount in
            let file = mount.path / "f"
            let empty = try Kernel.statvfs(mount.path).f_bfree
            for round in 0..<6 {
                let fd = try Kernel.open(file, O_RDWR | O_CREAT)
                try Kernel.fallocate(fd, 0, 0, 400 * mebibyte)
                try Kernel.close(fd)
                try Kernel.unlink(file)
                if round % 2 == 1 { #expect(try Kernel.statvfs(mount.path).f_bfree == empty) }
            }
            let status = try mount.status()
            #expect(try status.refusals("bytes") == 0, "nobody has seen one")
        }
    }

    /// Rule: xattrs.charged
    @Test("xattrs, symlinks and names cannot escape the limit", arguments: MountFixture.engines)
    func metadataIsBounded(engine: String) throws {
        try MountFixture.use(["--size", "4M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            #expect(throws: Errno.noSpace) {
                for index in 0..<1000 {
                    let path = mount.path / "f\(index)"
                    try Kernel.close(try Kernel.open(path, O_WRONLY | O_CREAT))
                    try Kernel.setXattr(path, "user.a", [UInt8](repeating: 1, count: 60_000))
                }
            }
            #expect(throws: Errno.noSpace) {
                let target = Path(bytes: [UInt8](repeating: 0x61, count: 4000))
                for index in 0..<10_000 { try Kernel.symlink(target, mount.path / "l\(index)") }
            }
            let name = String(repeating: "n", count: 240)
            #expect(throws: Errno.noSpace) {
                for index in 0..<100_000 { try Kernel.mkdir(mount.path / "\(name)\(index)") }
            }
            let used = try mount.usedBytes()
            #expect(used <= 4 << 20)
            for entry in try Kernel.list(mount.path) {
                let removed = try Program.run(["rm", "-rf", entry.text], in: mount.path)
                #expect(removed.status == 0)
                if entry.text.hasPrefix("l9") { break }
            }
            let removed = try Program.run(["sh", "-c", "rm -rf -- *"], in: mount.path)
            #expect(removed.status == 0)
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: mapping.late
    @Test(
        "a store into a mapping of a full mount fails somewhere, and the mount lives on",
        arguments: MountFixture.engines)
    func mappingWhenFull(engine: String) throws {
        try MountFixture.use(["--size", "4M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let script = """
                import mmap, os
                fd = os.open("f", os.O_RDWR | os.O_CREAT); os.ftruncate(fd, 8 << 20)
                m = mmap.mmap(fd, 8 << 20)
                for i in range(0, 8 << 20, 4096): m[i] = 1
                m.flush(); os.fsync(fd)
                """
            let result = try Program.run(["python3", "-c", script], in: mount.path)
            #expect(result.status != 0, "8 MiB do not fit into 4")
            let used = try mount.usedBytes()
            #expect(used <= 4 << 20)
            try Kernel.unlink(mount.path / "f")
            let again = try Program.run(["sh", "-c", "echo alive > g && cat g"], in: mount.path)
            #expect(again.output == "alive\n")
            try Kernel.unlink(mount.path / "g")
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }
}
