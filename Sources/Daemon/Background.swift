import Basics
import Glibc

/// Starts the daemon behind the caller's back, and waits until its mount is usable or it has said why not.
///
/// The program is executed anew rather than forked: neither the Swift runtime nor a thread survives fork(2).
public enum Background {
    /// How long a mount may take to become usable.
    static let timeoutMilliseconds = 30_000
    private static let graceMilliseconds = 5000

    /// Runs this program again with `arguments` in the foreground of nobody. Returns what to end with.
    ///
    /// - Parameters:
    ///   - arguments: of the whole command line, the program's name and the verb before all.
    ///   - mountpoint: where it is a descriptor, the child gets it too.
    public static func start(_ arguments: [String], for mountpoint: String) throws(Failure) -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw cannotStart(Errno(rawValue: errno)) }
        // This process has one thread: nobody else starts a program in between.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child: pid_t
        do throws(Errno) {
            let place = max(3, (Mountpoint.descriptor(in: mountpoint) ?? 0) + 1)
            let inner =
                arguments.prefix(2) + ["--foreground", "--ready-fd", "\(place)"] + arguments.dropFirst(2)
            child = try Spawn.start("/proc/self/exe", Array(inner), passing: ends[1], as: place)
        } catch {
            close(ends[0])
            close(ends[1])
            throw cannotStart(error)
        }
        // With our own copy closed, the pipe ends when the child does.
        close(ends[1])
        defer { close(ends[0]) }
        do throws(Errno) {
            return try outcome(of: child, on: ends[0])
        } catch {
            throw cannotStart(error)
        }
    }

    private static func cannotStart(_ error: Errno) -> Failure {
        Failure(.bug, "cannot start the daemon: \(Wording.of(error)): '-f' runs it in the foreground")
    }

    /// Waits until the daemon is ready, and returns 0; or until it has failed, and says why and returns what
    /// to end with.
    static func outcome(of child: pid_t, on pipe: Int32) throws(Errno) -> Int32 {
        let deadline = Files.monotonicMilliseconds() + timeoutMilliseconds
        var received: [UInt8] = []
        while true {
            let left = deadline - Files.monotonicMilliseconds()
            guard left > 0, hasNews(pipe, milliseconds: left) else {
                try end(child, on: pipe)
                Files.complain(
                    "dmemfs: the mount was not usable within \(timeoutMilliseconds / 1000) seconds: gave up")
                return ExitStatus.mountFailed.rawValue
            }
            let part = try Files.read(pipe, upTo: 4096)
            received += part
            if ReadyRecord(received) == .ready { return 0 }
            // The record of a failure is whole when the child has ended.
            if part.isEmpty { break }
        }
        let ending = try Spawn.wait(for: child)
        if case .failed(let code, let lines) = ReadyRecord(received) {
            for line in lines { Files.complain("dmemfs: \(line)") }
            return code
        }
        switch ending {
        case .exited(let code) where code != 0: return code
        case .exited: Files.complain("dmemfs: the daemon ended before its mount was usable: '-f' shows more")
        case .killed(let signal):
            Files.complain("dmemfs: the daemon was killed by signal \(signal) before its mount was usable")
        }
        return ExitStatus.mountFailed.rawValue
    }

    /// Whether something, or the end, came through `pipe` in time.
    static func hasNews(_ pipe: Int32, milliseconds: Int) -> Bool {
        var wait = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&wait, 1, Int32(clamping: milliseconds)) != 0
    }

    /// Ends a daemon that does not become ready: first it may clean up, then it may not.
    private static func end(_ child: pid_t, on pipe: Int32) throws(Errno) {
        kill(child, SIGTERM)
        if !hasNews(pipe, milliseconds: graceMilliseconds) { kill(child, SIGKILL) }
        _ = try Spawn.wait(for: child)
    }
}
