import Basics
import CLinux
import Glibc

/// Where the log of a daemon goes: its standard error as long as it has one, and after it left the terminal
/// the journal, or else syslog. Never waits: what cannot be taken at once is dropped, and counted.
public final class LogSink: Sendable {
    static let journal = "/run/systemd/journal/socket"
    static let syslog = "/dev/log"

    private enum Place {
        case standardError
        case journal
        /// A journal if there is one, or else syslog; nothing where there is neither.
        case system
    }

    private struct State {
        var place: Place
        /// Lines that were not taken since the last one that was.
        var dropped = 0
    }

    private let state: Lock<State>

    /// For a daemon in the foreground: its standard error; or the journal itself, which takes more than
    /// lines, where the standard error is a stream into it.
    public init() {
        let isJournal = Files.environment("JOURNAL_STREAM") == Files.identity(of: STDERR_FILENO)
        state = Lock(State(place: isJournal ? .journal : .standardError))
    }

    /// Whether each line goes to the journal.
    public var isJournal: Bool { state.withLock { $0.place == .journal } }

    /// From now on the standard error leads nowhere.
    func leaveTerminal() {
        state.withLock { if $0.place == .standardError { $0.place = .system } }
    }

    func write(_ line: LogLine) {
        state.withLock { state in
            switch state.place {
            case .standardError where line.isForSystem: return
            case .standardError: Files.complain("dmemfs: \(line.text)")
            case .journal:
                if !Self.send(line.journalEntry(dropped: state.dropped), to: Self.journal, &state) {
                    Files.complain("dmemfs: \(line.text)")
                }
            case .system:
                guard !Self.send(line.journalEntry(dropped: state.dropped), to: Self.journal, &state) else {
                    return
                }
                _ = Self.send(line.syslogEntry(process: getpid()), to: Self.syslog, &state)
            }
        }
    }

    /// Returns whether somebody listens at `path`; who listens may still be too busy to take it.
    private static func send(_ bytes: [UInt8], to path: String, _ state: inout State) -> Bool {
        let failure = unsafe linux_send_datagram(path, bytes, bytes.count)
        switch failure {
        case 0: state.dropped = 0
        case EAGAIN, ENOBUFS, EMSGSIZE: state.dropped += 1
        default: return false
        }
        return true
    }
}
