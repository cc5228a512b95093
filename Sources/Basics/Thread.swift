import Glibc

/// A thread of the operating system, for the few that wait on something other than a request.
public enum Thread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Far more than any of them uses; the system's default is eight times that.
    private static let stackBytes = 1 << 20

    /// How long this thread has run on a processor, in nanoseconds.
    public static func processorNanoseconds() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// Lets this thread sleep.
    public static func pause(microseconds: UInt32) {
        usleep(microseconds)
    }

    /// Runs `body` on a new thread that nobody joins: it ends when `body` does, or with the process.
    public static func start(_ body: @escaping @Sendable () -> Void) throws(Errno) {
        var attributes = pthread_attr_t()
        var failure = unsafe pthread_attr_init(&attributes)
        guard failure == 0 else { throw Errno(rawValue: failure) }
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setstacksize(&attributes, stackBytes)
        let box = unsafe Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        failure = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument = unsafe argument else { return nil }
                // The one retain of `start` ends here.
                unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, unsafe box.toOpaque())
        guard failure == 0 else {
            unsafe box.release()
            throw Errno(rawValue: failure)
        }
        pthread_detach(thread)
    }
}
