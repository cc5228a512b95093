import CLinux
import Glibc

/// Another process, watched until it ends; its number may be reused, the watch is not fooled by that.
public final class ProcessWatch: Sendable {
    private let descriptor: Int32

    /// nil where `process` is nil or has ended already.
    public init?(_ process: Int32?) {
        guard let process else { return nil }
        descriptor = linux_process_descriptor(process)
        guard descriptor >= 0 else { return nil }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Waits until the process has ended; returns false if it has not in time.
    @discardableResult
    public func awaitEnd(milliseconds: Int) -> Bool {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&wait, 1, Int32(clamping: milliseconds)) > 0
    }

    /// Waits where there is no event to wait for.
    public static func pause(milliseconds: Int) {
        _ = poll(nil, 0, Int32(clamping: milliseconds))
    }
}
