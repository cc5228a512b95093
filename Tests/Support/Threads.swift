import Basics
import CLinux
import Glibc

/// Plain threads: what the cases need has to do with threads as the kernel knows them (users, working
/// directories).
package enum Threads {
    private final class Job {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    /// Runs `body` on a thread of its own that has its own working directory and a umask of 022, and waits
    /// for it.
    package static func alone(_ body: () throws -> Void) throws {
        try run { () throws in
            try Kernel.call { linux_thread_own_directory() }
            _ = umask(0o022)
            try body()
        }
    }

    /// Runs `body` as another user, on a thread of its own, and waits for it.
    package static func become(_ user: UInt32, _ group: UInt32, _ body: () throws -> Void) throws {
        try run { () throws in
            try Kernel.call { linux_thread_become(user, group) }
            try body()
        }
    }

    /// Runs `body` on `count` threads at once and waits for all.
    package static func together(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        var threads: [pthread_t] = []
        for index in 0..<count { threads.append(start { body(index) }) }
        for thread in threads { _ = pthread_join(thread, nil) }
    }

    /// A thread that has been started.
    package struct Running: Sendable {
        fileprivate let thread: pthread_t
        package func join() { _ = pthread_join(thread, nil) }
    }

    /// Starts `body` on a thread that the caller will join.
    package static func detach(_ body: @escaping @Sendable () -> Void) -> Running {
        Running(thread: start(body))
    }

    private static func run(_ body: () throws -> Void) throws {
        var failure: (any Error)?
        let guarded = {
            do { try body() } catch { failure = error }
        }
        withoutActuallyEscaping(guarded) { escaping in
            let thread = start(escaping)
            _ = pthread_join(thread, nil)
        }
        if let failure { throw failure }
    }

    private static func start(_ body: @escaping () -> Void) -> pthread_t {
        let job = unsafe Unmanaged.passRetained(Job(body))
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread, nil,
            { raw in
                guard let raw = unsafe raw else { return nil }
                unsafe Unmanaged<Job>.fromOpaque(raw).takeRetainedValue().body()
                return nil
            }, job.toOpaque())
        precondition(code == 0, "a thread could not be started: \(code)")
        return thread
    }
}
