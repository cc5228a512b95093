import Basics
import CLinux
import Glibc

/// A child process that is waited for, with a limit: nothing that a test starts may hang the tests.
package enum Program {
    package struct Result: Sendable {
        /// The exit status, 128 and the signal where one ended it, or 124 where the time was up.
        package let status: Int32
        /// What it wrote to its output and its errors.
        package let output: String
    }

    /// Runs a program, found through PATH, to its end.
    package static func run(
        _ arguments: [String], in directory: Path, adding environment: [String] = [], seconds: Int = 60
    ) throws -> Result {
        let log = try temporaryFile()
        defer { _ = Glibc.close(log) }
        let child = try start(arguments, in: directory, adding: environment, output: log)
        let ended = try wait(for: child, seconds: seconds)
        if ended == nil {
            _ = kill(-child, SIGKILL)
            _ = try wait(for: child, seconds: 10)
        }
        return Result(status: ended ?? 124, output: try everything(in: log))
    }

    /// Starts a program in a process group of its own. It reads nothing and writes to `output`.
    package static func start(
        _ arguments: [String], in directory: Path, adding environment: [String] = [], output: Int32
    ) throws -> Int32 {
        var child: Int32 = 0
        let code = unsafe directory.withPointer { place in
            unsafe withCStrings(arguments) { argv in
                unsafe withCStrings(environment) { unsafe linux_spawn(argv, $0, place, output, &child) }
            }
        }
        if code != 0 { throw Errno(rawValue: code) }
        return child
    }

    /// Waits until a child has ended and returns its status, or nil when the time is up.
    package static func wait(for child: Int32, seconds: Int) throws -> Int32? {
        let watch = try Kernel.call { linux_pidfd_open(child) }
        defer { _ = Glibc.close(watch) }
        var event = pollfd(fd: watch, events: Int16(POLLIN), revents: 0)
        let ready = unsafe poll(&event, 1, Int32(seconds * 1000))
        if ready <= 0 { return nil }
        var status: Int32 = 0
        try Kernel.call { unsafe waitpid(child, &status, 0) }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    /// The most memory that any child which has been waited for has had resident, in bytes.
    package static func largestChildBytes() -> Int {
        var usage = rusage()
        _ = unsafe getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
        return usage.ru_maxrss << 10
    }

    /// Stops a child, and returns when all its threads have stopped.
    package static func stop(_ child: Int32) throws {
        try Kernel.call { kill(child, SIGSTOP) }
        try awaitStop(of: child)
    }

    /// Returns when a child has stopped. Throws where it has ended instead; it is then reaped.
    package static func awaitStop(of child: Int32) throws {
        var status: Int32 = 0
        try Kernel.call { unsafe waitpid(child, &status, WUNTRACED) }
        if status & 0xff != 0x7f { throw Errno.noChildProcess }
    }

    package static func temporaryFile() throws -> Int32 {
        try Kernel.open("/tmp", linux_o_tmpfile | O_RDWR | O_APPEND, 0o600)
    }

    package static func everything(in fd: Int32) throws -> String {
        var bytes: [UInt8] = []
        while true {
            let piece = try Kernel.read(fd, at: bytes.count, 1 << 16)
            if piece.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += piece
        }
    }

    /// The programs of this list that are not installed.
    package static func missing(_ names: [String]) -> [String] {
        names.filter { name in
            let found = try? run(["sh", "-c", "command -v \(name)"], in: "/")
            return found?.status != 0
        }
    }

    private static func withCStrings(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32
    ) -> Int32 {
        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) }
        unsafe pointers.append(nil)
        defer { unsafe pointers.forEach { unsafe free($0) } }
        return unsafe pointers.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return EINVAL }
            return unsafe body(start)
        }
    }
}
