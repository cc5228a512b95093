import Glibc

/// A thread of the operating system, for the few that wait on something other than a request.
public enum Thread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Lets this thread sleep.
    public static func pause(microseconds: UInt32) {
        usleep(microseconds)
    }

    /// Runs `body` on a new thread that nobody joins: it ends when `body` does, or with the process.
    public static func start(_ body: @escaping @Sendable () -> Void) throws(Errno) {
        let box = unsafe Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let failure = unsafe pthread_create(
            &thread, nil,
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
