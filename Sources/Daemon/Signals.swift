import Glibc

/// The signals that the daemon takes itself, one after the other, on a thread of its own.
///
/// None has a handler: they are held back from every thread and waited for, so that all that is done about
/// one is ordinary code.
enum Signals {
    private static func taken() -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2] { unsafe sigaddset(&set, signal) }
        return set
    }

    /// Holds the signals back from this thread and from all that it starts; so it comes before any other
    /// thread.
    static func hold() {
        var set = taken()
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        // A client that hangs up in the middle of an answer must not end the filesystem.
        _ = signal(SIGPIPE, SIG_IGN)
    }

    /// Waits for the next signal; nil where none comes in time.
    static func next(withinMilliseconds limit: Int? = nil) -> Int32? {
        var set = taken()
        while true {
            var signal: Int32
            if let limit {
                var time = timespec(tv_sec: limit / 1000, tv_nsec: limit % 1000 * 1_000_000)
                signal = unsafe sigtimedwait(&set, nil, &time)
            } else {
                signal = unsafe sigwaitinfo(&set, nil)
            }
            if signal > 0 { return signal }
            if errno == EAGAIN { return nil }
        }
    }

    /// Whether `signal` asks the daemon to end. SIGHUP does not: a closed terminal is no reason to lose the
    /// files.
    static func isStop(_ signal: Int32) -> Bool {
        signal == SIGTERM || signal == SIGINT
    }
}
