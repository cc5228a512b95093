import Basics
import Glibc

/// Calls an alarm when it has not been disarmed in time, on a thread of its own.
package final class Watchdog {
    private let line: (reader: Int32, writer: Int32)
    private let thread: Threads.Running

    package init(seconds: Int, alarm: @escaping @Sendable () -> Void) throws {
        var ends: [Int32] = [0, 0]
        try Kernel.call { unsafe pipe(&ends) }
        for end in ends { try Kernel.call { fcntl(end, F_SETFD, FD_CLOEXEC) } }
        line = (ends[0], ends[1])
        let reader = ends[0]
        thread = Threads.detach {
            var event = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&event, 1, Int32(seconds * 1000)) == 0 { alarm() }
        }
    }

    /// Ends the watch and waits for its thread.
    package func disarm() {
        _ = Glibc.close(line.writer)
        thread.join()
        _ = Glibc.close(line.reader)
    }
}
