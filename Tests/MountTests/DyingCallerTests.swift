import Basics
import CLinux
import Glibc
import Support
import Synchronization
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
                _ = kill(child, SIGCONT)
                try Self.awaitRequest(of: child)
                _ = kill(child, SIGKILL)
                let status = try Program.wait(for: child, seconds: 60)
                #expect(status == 128 + SIGKILL)
                try Self.useEverything(in: mount.path)
                // The next maker finds it otherwise, and ends.
                _ = try? Kernel.unlink(mount.path / "n")
            }
            for entry in try Kernel.list(mount.path) { try Kernel.unlink(mount.path / entry.name) }
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// More requests than the kernel lets be in the background, while the daemon does not answer: who waits
    /// can be killed, and the others get what they asked for.
    @Test("a full queue of requests is worked off, and who waits in it can be killed")
    func fullQueue() throws {
        let bytes = 8 << 20
        try MountFixture.use(["--size", "64M"]) { mount in
            let start = try mount.usedBytes()
            for name in ["a", "b", "read"] { try Self.make(mount.path / name, bytes: bytes) }
            let fd = try Kernel.open(mount.path / "read", O_RDONLY)
            // The others wait for each other, or do for long without the daemon.
            let children = try ["appender", "copier", "lister", "reader"].map {
                try Self.startCaller($0, in: mount.path)
            }
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)
            try Program.stop(mount.process)
            let readers = Readers(120, of: fd, bytes: bytes)
            do {
                defer {
                    _ = kill(mount.process, SIGCONT)
                    readers.join()
                }
                try Self.until { try Self.waitingThreads() >= readers.count }
                for child in children { _ = kill(child, SIGCONT) }
                for child in children { try Self.awaitRequest(of: child) }
                for child in children { _ = kill(child, SIGKILL) }
                for child in children {
                    // Nobody answers, and yet it ends: its request had not been read.
                    let status = try Program.wait(for: child, seconds: 60)
                    #expect(status == 128 + SIGKILL)
                }
            }
            #expect(readers.served == readers.count)
            try Kernel.close(fd)
            try Self.useEverything(in: mount.path)
            for entry in try Kernel.list(mount.path) { try Kernel.unlink(mount.path / entry.name) }
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    // MARK: Help

    /// Threads that each read ten bytes of a file, as far from each other as can be.
    private final class Readers: Sendable {
        let count: Int
        private let right: Served
        private let threads: [Threads.Running]

        private final class Served: Sendable {
            let count = Atomic<Int>(0)
        }

        init(_ count: Int, of fd: Int32, bytes: Int) {
            let right = Served()
            threads = (0..<count).map { reader in
                Threads.detach {
                    let place = reader * (bytes / count)
                    let found = try? Kernel.read(fd, at: place, 10)
                    if found == DyingCallerTests.content(at: place, 10) {
                        right.count.wrappingAdd(1, ordering: .relaxed)
                    }
                }
            }
            self.count = count
            self.right = right
        }

        func join() { for thread in threads { thread.join() } }

        /// How many have found what is there.
        var served: Int { right.count.load(ordering: .relaxed) }
    }

    private static func content(at place: Int, _ count: Int) -> [UInt8] {
        (place..<place + count).map { UInt8(truncatingIfNeeded: $0 / 7) }
    }

    private static func make(_ path: Path, bytes: Int) throws {
        let fd = try Kernel.open(path, O_RDWR | O_CREAT | O_TRUNC)
        // What `content` gives repeats itself.
        let period = content(at: 0, 7 << 8)
        try Kernel.write(fd, Array((0...bytes / period.count).flatMap { _ in period }.prefix(bytes)))
        try Kernel.close(fd)
    }

    /// Returns when it has stopped, which it does before what it is for.
    private static func startCaller(_ kind: String, in directory: Path) throws -> Int32 {
        let log = try Program.temporaryFile()
        defer { _ = close(log) }
        let script = """
            import fcntl, os, signal
            a, b = os.open('a', os.O_RDWR), os.open('b', os.O_RDWR | os.O_CREAT)
            block = bytes(1 << 20)
            os.kill(os.getpid(), signal.SIGSTOP)
            \(callers[kind] ?? "")
            """
        let child = try Program.start(["python3", "-c", script], in: directory, output: log)
        try Program.awaitStop(of: child)
        return child
    }

    /// Waits until the child is seen to wait for an answer of the daemon's, or for another that does.
    private static func awaitRequest(of child: Int32) throws {
        try until {
            let place = (try? Files.text(of: "/proc/\(child)/wchan")) ?? ""
            return waits(at: place)
        }
    }

    private static func waits(at place: String) -> Bool {
        ["request_wait_answer", "folio_wait", "fuse", "rwsem"].contains { place.contains($0) }
    }

    /// How many threads of this process wait for the daemon, or for a page that it is to bring.
    private static func waitingThreads() throws -> Int {
        try Kernel.list("/proc/self/task").count { task in
            waits(at: (try? Files.text(of: "/proc/self/task/\(task.text)/wchan")) ?? "")
        }
    }

    private static func until(_ condition: () throws -> Bool) throws {
        if try !Patience.until(seconds: 60, condition) { throw Errno.timedOut }
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
