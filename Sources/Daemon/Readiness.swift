public import Basics
import CLinux
import Glibc

/// Whoever waits for the mount to be usable: the `dmemfs mount` that started us, and the service manager.
public struct Readiness: Sendable {
    /// To the process that waits in the caller's terminal; nil in the foreground.
    private let pipe: Int32?
    /// Whether who waited stays connected, and the mount is to end with him.
    public let isAttached: Bool
    /// The service manager's socket; nil where there is none.
    private let manager: String?

    private let sink: LogSink
    /// Whether a mount that succeeds is nothing to speak of.
    private let isQuiet: Bool

    /// - Parameter isAttached: the descriptor is a socket on which who started us stays.
    public init(
        readyDescriptor: Int32?, isAttached: Bool, isQuiet: Bool, sink: LogSink
    ) {
        self.isAttached = isAttached && readyDescriptor != nil
        pipe = readyDescriptor
        self.sink = sink
        self.isQuiet = isQuiet
        if let readyDescriptor {
            // Whatever else the caller had open is none of ours, and somebody may wait for its end.
            linux_close_from(UInt32(clamping: readyDescriptor) + 1)
            _ = fcntl(readyDescriptor, F_SETFD, FD_CLOEXEC)
        }
        manager = Files.environment("NOTIFY_SOCKET")
    }

    /// Whether someone waits at a terminal for us to leave it.
    public var leavesTerminal: Bool { pipe != nil }

    /// Tells all that the mount is usable. Throws where who waited is gone, and so nobody knows of the mount.
    public func ready(_ summary: String) throws(Errno) {
        if !isQuiet { printSummary(summary) }
        tellManager("READY=1\nSTATUS=\(summary)")
        guard let pipe else { return }
        leaveTerminal()
        try Files.write(ReadyRecord.ready.bytes, to: pipe)
        if !isAttached { close(pipe) }
    }

    /// Waits until who started us wants the mount to end. Returns false where he is gone instead.
    func awaitEndOfAttachment() -> Bool {
        guard isAttached, let pipe else { return true }
        do throws(Errno) {
            return try !Files.read(pipe, upTo: 1).isEmpty
        } catch {
            return false
        }
    }

    /// Gives who started us the last figures.
    func leave(with status: [UInt8]) {
        guard isAttached, let pipe else { return }
        do throws(Errno) {
            try Files.write(status, to: pipe)
        } catch {
            // Nobody is left to read them.
        }
        close(pipe)
    }

    private func printSummary(_ summary: String) {
        do throws(Errno) {
            try Files.write(Array("dmemfs: \(summary)\n".utf8), to: STDOUT_FILENO)
        } catch {
            // A caller without an output wants none.
        }
    }

    public func stopping(_ summary: String) {
        tellManager("STOPPING=1\nSTATUS=\(summary)")
    }

    /// Whether a service manager listens.
    var hasManager: Bool { manager != nil }

    /// Tells that the configuration is read anew; `ready` follows by another `reloaded`.
    func reloading() {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        tellManager("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)")
    }

    func reloaded() { tellManager("READY=1") }

    /// Tells why there is no mount: to who waits, or else to our own standard error.
    public func failed(_ lines: [String], status: ExitStatus) {
        guard let pipe else {
            for line in lines { Files.complain("dmemfs: \(line)") }
            return
        }
        do throws(Errno) {
            try Files.write(ReadyRecord.failed(status.rawValue, lines).bytes, to: pipe)
        } catch {
            return
        }
    }

    /// Only now: until the mount is usable we belong to the caller's job, and Ctrl-C ends us with it.
    private func leaveTerminal() {
        sink.leaveTerminal()
        _ = setsid()
        _ = unsafe chdir("/")
        let nowhere = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
        guard nowhere >= 0 else { return }
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] { dup2(nowhere, stream) }
        close(nowhere)
    }

    /// Tells the service manager, in sd_notify(3)'s words. One that does not listen is its own trouble; the
    /// mount works without it.
    func tellManager(_ message: String) {
        guard let manager else { return }
        let failure = unsafe linux_notify(manager, message)
        if failure != 0 {
            Files.complain("dmemfs: cannot notify the service manager: \(Errno(rawValue: failure))")
        }
    }
}

/// What goes through the pipe from the daemon to who started it: one word, and on failure what to say and end
/// with.
enum ReadyRecord: Equatable {
    case ready
    case failed(Int32, [String])

    var bytes: [UInt8] {
        switch self {
        case .ready: Array("ready\n".utf8)
        case .failed(let code, let lines): Array("failed \(code)\n\(lines.joined(separator: "\n"))\n".utf8)
        }
    }

    /// Reads a whole record; nil where it is cut short.
    init?(_ bytes: [UInt8]) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        guard bytes.last == UInt8(ascii: "\n"), let first = lines.first else { return nil }
        if first == "ready" {
            self = .ready
        } else if first.hasPrefix("failed "), let code = Int32(first.dropFirst("failed ".count)) {
            self = .failed(code, Array(lines.dropFirst()))
        } else {
            return nil
        }
    }
}
