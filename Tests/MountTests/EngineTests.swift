import Basics
import CLinux
import Glibc
import Support
import Testing

@Suite(
    "The engines that use the kernel", .serialized,
    .enabled(if: !MountFixture.kernelEngines.isEmpty, "no engine but memory can be had here"))
struct EngineTests {
    private let mebibyte = 1 << 20

    /// What a refused request must leave as it was.
    private struct Picture: Equatable {
        var size: Int
        var blocks: Int
        var modified: Moment
        var changed: Moment
        var mode: UInt32
        var used: Int

        init(_ fd: Int32, on mount: MountFixture) throws {
            let status = try Kernel.stat(fd)
            size = status.st_size
            blocks = status.st_blocks
            modified = status.modified
            changed = status.changed
            mode = status.st_mode
            used = try mount.usedBytes()
        }
    }

    /// Rule: strict.whole
    @Test("strict takes each request whole or not at all, to the last page, and overwrites when full")
    func allOrNothing() throws {
        try MountFixture.use(["--size", "8M", "--io", "strict"]) { mount in
            let start = try mount.usedBytes()
            let file = mount.path / "f"
            let fd = try Kernel.open(file, O_RDWR | O_CREAT)
            // Behind the end, and found by nobody but who writes there.
            let ahead = 12 * mebibyte
            try Kernel.fallocate(fd, linux_falloc_keep_size, ahead, 300_000)
            var random = Generator(seed: Generator.seed(usual: 1))
            var expected: [UInt8] = []
            var refusals = 0
            while refusals < 60 {
                let isLarge = refusals < 20
                let count = 1 + random.below(isLarge ? 500_000 : 9000)
                let bytes = [UInt8](repeating: UInt8(1 + random.below(255)), count: count)
                let before = try Picture(fd, on: mount)
                do {
                    let taken = try Kernel.write(fd, bytes, at: expected.count)
                    #expect(taken == count, "a request was taken in part")
                    expected += bytes
                } catch Errno.noSpace {
                    refusals += 1
                    let after = try Picture(fd, on: mount)
                    #expect(after == before, "\(before) became \(after)")
                }
                let used = try mount.usedBytes()
                #expect(used <= 8 * mebibyte)
            }
            #expect(expected.count > 7 * mebibyte)
            let free = try Kernel.statvfs(mount.path).f_bavail
            #expect(free <= 1, "a page more would have been taken")
            for place in [0, 4095, expected.count - 70_000] {
                let bytes = [UInt8](repeating: 7, count: 70_000)
                let taken = try Kernel.write(fd, bytes, at: place)
                #expect(taken == 70_000)
                expected.replaceSubrange(place..<place + 70_000, with: bytes)
            }
            let reserved = try Kernel.write(fd, [UInt8](repeating: 9, count: 300_000), at: ahead)
            #expect(reserved == 300_000, "what fallocate has reserved cannot be refused")
            let reader = try Kernel.open(file, O_RDONLY)
            let found = try Kernel.read(reader, expected.count)
            #expect(found == expected, "the kernel reads what was written")
            let hole = try Kernel.read(reader, at: expected.count + 4096, 10)
            #expect(hole == [UInt8](repeating: 0, count: 10))
            try Kernel.close(reader)
            try Kernel.close(fd)
            try Kernel.unlink(file)
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: strict.whole
    @Test("strict refuses in exactly the order of requests when many threads write", arguments: [4])
    func manyWriters(count: Int) throws {
        try MountFixture.use(["--size", "8M", "--io", "strict"]) { mount in
            let start = try mount.usedBytes()
            let place = mount.path
            let size = 96 * 1024
            Threads.together(count) { thread in
                guard let fd = try? Kernel.open(place / "\(thread)", O_RDWR | O_CREAT | O_APPEND) else {
                    return
                }
                let bytes = [UInt8](repeating: UInt8(thread + 1), count: size)
                for _ in 0..<40 { _ = try? Kernel.write(fd, bytes) }
                try? Kernel.close(fd)
            }
            var total = 0
            for entry in try Kernel.list(place) {
                let found = try Kernel.stat(place / entry.name).st_size
                #expect(found % size == 0, "\(entry.text) has a part of a request")
                total += found
            }
            #expect(total > 8 * mebibyte - 2 * size && total < 8 * mebibyte)
            let removed = try Program.run(["sh", "-c", "rm -f -- *"], in: place)
            #expect(removed.status == 0)
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: engines.both, engines.mapping
    @Test(
        "bytes and metadata stay within the limit whoever stores them", arguments: MountFixture.kernelEngines)
    func usage(engine: String) throws {
        try MountFixture.use(["--size", "16M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let place = mount.path
            let log = try Program.temporaryFile()
            defer { _ = close(log) }
            let filler = try Program.start(
                ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do head -c 4M /dev/zero > big$i; done; true"],
                in: place, output: log)
            let names = try Program.start(
                ["sh", "-c", "for i in $(seq 2000); do mkdir dir-with-quite-a-long-name-$i || true; done"],
                in: place, output: log)
            for writer in [filler, names] {
                var ended: Int32?
                while ended == nil {
                    let status = try mount.status()
                    let used = try status.number("used_bytes")
                    let sum = try status.number("data_bytes") + status.number("metadata_bytes")
                    #expect(used <= 16 * mebibyte && used == sum, "\(status)")
                    ended = try Program.wait(for: writer, seconds: 0)
                }
            }
            let free = try Kernel.statvfs(place)
            #expect(free.f_bavail <= 256, "it is full but for a step: \(free.f_bavail) pages")
            // What is stored through a mapping is counted as well.
            try Kernel.unlink(place / "big1")
            let fd = try Kernel.open(place / "mapped", O_RDWR | O_CREAT)
            try Kernel.truncate(fd, mebibyte)
            let before = try mount.usedBytes()
            let mapping = try Mapping(fd, bytes: mebibyte, shared: true)
            try Kernel.close(fd)
            for page in 0..<64 { mapping[page * 4096] = 1 }
            let blocks = try Kernel.stat(place / "mapped").st_blocks
            #expect(blocks == 64 * 8)
            let after = try mount.usedBytes()
            #expect(after >= before + 64 * 4096 || engine == "passthrough", "others freed meanwhile")
            let removed = try Program.run(["sh", "-c", "rm -rf -- *"], in: place)
            #expect(removed.status == 0, "\(removed.output)")
            let held = try mount.usedBytes()
            #expect(held >= start + 64 * 4096, "what is mapped is still there")
            withExtendedLifetime(mapping) {}
        }
    }

    /// Rule: engines.mapping
    @Test(
        "a store through a mapping of a full mount is SIGBUS, as on tmpfs",
        arguments: MountFixture.kernelEngines)
    func mappingWhenFull(engine: String) throws {
        try MountFixture.use(["--size", "4M", "--io", engine]) { mount in
            let script = """
                import mmap, os
                fd = os.open("f", os.O_RDWR | os.O_CREAT); os.ftruncate(fd, 8 << 20)
                m = mmap.mmap(fd, 8 << 20); os.close(fd)
                for i in range(0, 8 << 20, 4096): m[i] = 1
                """
            let result = try Program.run(["python3", "-c", script], in: mount.path)
            #expect(result.status == 128 + SIGBUS, "\(result)")
            let used = try mount.usedBytes()
            #expect(used <= 4 * mebibyte && used > 3 * mebibyte)
        }
    }

    /// Rule: engines.opening
    @Test(
        "on a full mount an empty file can be read, and removing makes room",
        arguments: MountFixture.kernelEngines)
    func fullMount(engine: String) throws {
        try MountFixture.use(["--size", "2M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let place = mount.path
            try Kernel.mknod(place / "empty", S_IFREG | 0o644)
            let big = try Kernel.open(place / "big", O_RDWR | O_CREAT)
            for size in [65536, 4096] {
                let bytes = [UInt8](repeating: 1, count: size)
                while let taken = try? Kernel.write(big, bytes), taken == size {}
            }
            #expect(throws: Errno.noSpace) {
                for index in 0..<100_000 { try Kernel.mknod(place / "n\(index)", S_IFREG | 0o644) }
            }
            let reader = try Kernel.open(place / "empty", O_RDONLY)
            let nothing = try Kernel.read(reader, 10)
            #expect(nothing == [])
            // What does not hold a long name may hold a short one.
            var made = 0
            #expect(throws: Errno.noSpace) {
                while true {
                    try Kernel.close(try Kernel.open(place / "c\(made)", O_WRONLY | O_CREAT))
                    made += 1
                }
            }
            #expect(throws: Errno.noSuchFileOrDirectory) { _ = try Kernel.stat(place / "c\(made)") }
            try Kernel.close(big)
            try Kernel.truncate(place / "big", 0)
            let writer = try Kernel.open(place / "empty", O_WRONLY)
            try Kernel.write(writer, Array("later".utf8))
            let found = try Kernel.read(reader, at: 0, 10)
            #expect(found == Array("later".utf8), "who had it open while it was empty sees it grow")
            try Kernel.close(writer)
            try Kernel.close(reader)
            let removed = try Program.run(["find", ".", "-type", "f", "-delete"], in: place)
            #expect(removed.status == 0)
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Many more than the daemon keeps descriptors; fewer where a process may not have so many.
    private static let openFiles = 25_000

    /// Rule: engines.many
    @Test("more files are open than there are descriptors", arguments: MountFixture.kernelEngines)
    func manyOpenFiles(engine: String) throws {
        try MountFixture.use(["--size", "1G", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let script = """
                import os, resource, sys
                n = \(Self.openFiles)
                try: resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
                except (ValueError, OSError): n = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100
                fds = []
                for i in range(n):
                    fds.append(os.open(f"f{i}", os.O_RDWR | os.O_CREAT))
                    os.write(fds[i], str(i).encode())
                for i in range(n): os.pwrite(fds[i], b"again", 10)
                for i in range(0, n, 7):
                    assert os.pread(fds[i], 15, 0) == str(i).encode().ljust(10, b"\\0") + b"again", i
                for i in range(n): os.unlink(f"f{i}")
                for i in range(0, n, 11): assert os.fstat(fds[i]).st_size == 15, i
                """
            let result = try Program.run(["python3", "-c", script], in: mount.path, seconds: 250)
            #expect(result.status == 0, "\(result.output.suffix(500))")
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: engines.observed
    @Test(
        "a handle, a mapping and a reader see one file, whichever came first",
        arguments: MountFixture.kernelEngines)
    func coherent(engine: String) throws {
        try MountFixture.use(["--size", "8M", "--io", engine]) { mount in
            let file = mount.path / "f"
            let first = try Kernel.open(file, O_RDWR | O_CREAT)
            try Kernel.truncate(first, mebibyte)
            let mapping = try Mapping(first, bytes: mebibyte, shared: true)
            mapping[5000] = 1
            try Kernel.close(first)
            for round in 0..<20 {
                let flags = [O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | linux_o_direct][round % 4]
                let fd = try Kernel.open(file, flags)
                if flags & O_ACCMODE != O_RDONLY, flags & linux_o_direct == 0 {
                    try Kernel.write(fd, [UInt8(round)], at: 9000)
                    #expect(mapping[9000] == UInt8(round))
                }
                mapping[9001] = UInt8(100 + round)
                let reader = try Kernel.open(file, O_RDONLY)
                let found = try Kernel.read(reader, at: 9001, 1)
                #expect(found == [UInt8(100 + round)])
                try Kernel.close(reader)
                try Kernel.close(fd)
            }
            #expect(mapping[5000] == 1)
        }
    }
}
