import Logging

/// What the log tells apart for programs: each has a message ID in the journal, which never changes.
public enum DaemonEvent: String, Sendable {
    case mounted, unmounted
    /// Requests are refused for want of room.
    case full
    /// Requests are refused for another reason, or a page was lost.
    case refused
    /// The use of a limit has passed a threshold.
    case threshold
    /// The limits were changed.
    case resized
    /// The memory guard refuses growth; it has let go.
    case shortage = "guard"
    case recovered
    /// What would change something waits; it no longer does.
    case frozen, thawed
    /// The configuration file was read again.
    case reloaded
    /// A stop waits for those who use the mount.
    case busy
    /// A worker, or all of them, serves one request for too long.
    case stuck
    /// A thread asked for the figures (SIGUSR1).
    case snapshot

    /// As `journalctl MESSAGE_ID=` takes it.
    public var messageID: String {
        switch self {
        case .mounted: "1135522b8c60494ba148753b871877fc"
        case .unmounted: "340d53bee1294aa6bf7452d3a4cdd3c4"
        case .full: "671f95949e2b4a96ace16a479943bf49"
        case .refused: "4d6afee99a8e4f12b4f2c689196a7f36"
        case .threshold: "cce0db7c62c64fe69a6506df1911dfd2"
        case .resized: "f2971e40a93442039b4883eab4de9fde"
        case .shortage: "cc7907f55c7a4da5948a53eacc8eb1db"
        case .recovered: "ded9c4f2eae74ed990b28e72bfaa023a"
        case .frozen: "4e32581730df4cffafee94718b098d6f"
        case .thawed: "96b5f8b8611d47d395e7a7d987ed609f"
        case .reloaded: "10b95276731944baafc978748a8b7dd4"
        case .busy: "187d4fe1966f4e9daa03da77cfc9cd53"
        case .stuck: "0095f1b58ab44339ad59d2184230c51c"
        case .snapshot: "779fbd50ad4741d88b8c2e6afb273308"
        }
    }

    /// The keys of a line's metadata for its event, and for its mountpoint.
    static let key = "event"
    static let mountKey = "mount"
}

extension Logger {
    /// Logs a line of one of the events, with its figures.
    func log(_ level: Logger.Level, _ event: DaemonEvent, _ message: String, _ figures: Logger.Metadata = [:])
    {
        var metadata = figures
        metadata[DaemonEvent.key] = "\(event.rawValue)"
        log(level: level, "\(message)", metadata: metadata)
    }
}
