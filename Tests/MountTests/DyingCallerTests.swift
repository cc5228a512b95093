import Basics
import CLinux
import Glibc
import Support
import Testing

@Suite(
    "Callers that are interrupted or die", .serialized,
    .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"))
struct DyingCallerTests {
    /// Each works on `a` and `b` until it is killed, with one request after the other in flight.
    private static let callers = [
        "writer": "while True: os.pwrite(a, block, 0)",
        "appender": "while True: os.ftruncate(a, 0); os.write(a, block)",
        "reader": "while True: os.posix_fadvise(a, 0, 0, os.POSIX_FADV_DONTNEED); os.pread(a, 1 << 20, 0)",
        "copier": "while True: os.copy_file_range(a, b, 8 << 20, 0, 0)",
        "lister": "while True: os.utime('.'); os.listdir('.')",
        "maker": "while True: os.close(os.open('n', os.O_CREAT | os.O_EXCL)); os.unlink('n')",
        "locker": "while True: fcntl.flock(a, fcntl.LOCK_EX); os.pwrite(a, block, 0)",
    ]

    @Test(
        "a caller that is killed in the middle of a request leaves nothing locked",
        arguments: callers.keys.sorted())
    func killedCaller(kind: String) throws {
        try MountFixture.use(["--size", "64M"]) { mount in
            let start = try mount.usedBytes()
            try Self.make(mount.path / "a", bytes: 8 << 20)
            try Self.make(mount.path / "b", bytes: 8 << 20)
            for _ in 0..<2 {
                let child = try Self.startCaller(kind, in: mount.path)
                try Self.awaitRequest(of: child)
                _ = kill(child, SIGKILL)
                let status = try Program.wait(for: child, seconds: 60)
                #expect(status == 128 + SIGKILL)
                try Self.useEverything(in: mount.path)
            }
            for entry in try Kernel.list(mount.path) { try Kernel.unlink(mount.path / entry.name) }
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    // MARK: Help

    private static func content(at place: Int, _ count: Int) -> [UInt8] {
        (place..<place + count).map { UInt8(truncatingIfNeeded: $0 / 7) }
    }

    private static func make(_ path: Path, bytes: Int) throws {
        let fd = try Kernel.open(path, O_RDWR | O_CREAT | O_TRUNC)
        try Kernel.write(fd, content(at: 0, bytes))
        try Kernel.close(fd)
    }

    private static func startCaller(_ kind: String, in directory: Path) throws -> Int32 {
        let log = try Program.temporaryFile()
        defer { _ = close(log) }
        let script = """
            import fcntl, os
            a, b = os.open('a', os.O_RDWR), os.open('b', os.O_RDWR | os.O_CREAT)
            block = bytes(1 << 20)
            \(callers[kind] ?? "")
            """
        return try Program.start(["python3", "-c", script], in: directory, output: log)
    }

    /// Waits until the child is seen to wait for an answer of the daemon's.
    private static func awaitRequest(of child: Int32) throws {
        try until {
            let place = (try? Files.text(of: "/proc/\(child)/wchan")) ?? ""
            return waits(at: place)
        }
    }

    private static func waits(at place: String) -> Bool {
        place.contains("request_wait_answer") || place.contains("folio_wait") || place.contains("fuse")
    }

    private static func until(_ condition: () throws -> Bool) throws {
        let deadline = time(nil) + 60
        while try !condition() {
            if time(nil) >= deadline { throw Errno.timedOut }
            _ = sched_yield()
        }
    }

    /// Every lock that the caller or its request may have held is taken once.
    private static func useEverything(in directory: Path) throws {
        for name in ["a", "b"] {
            let fd = try Kernel.open(directory / name, O_RDWR)
            try Kernel.call { flock(fd, LOCK_EX | LOCK_NB) }
            let before = try Kernel.stat(fd)
            try Kernel.write(fd, [1, 2, 3], at: Int(before.st_size))
            let written = try Kernel.read(fd, at: Int(before.st_size), 3)
            #expect(written == [1, 2, 3])
            try Kernel.truncate(fd, 8 << 20)
            try Kernel.close(fd)
        }
        try Kernel.rename(directory / "a", directory / "c")
        try Kernel.rename(directory / "c", directory / "a")
        _ = try Kernel.list(directory)
    }
}
