import Basics
public import Logging

/// Turns what is logged into lines for a `LogSink`.
public struct LineLog: LogHandler {
    public var logLevel = Logger.Level.info
    public var metadata: Logger.Metadata = [:]
    private let sink: LogSink

    public init(to sink: LogSink) {
        self.sink = sink
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let fields = all.sorted { $0.key < $1.key }.map { (name: $0.key, value: "\($0.value)") }
        sink.write(LogLine(level: event.level, message: "\(event.message)", fields: fields))
    }
}

/// One line of the log.
struct LogLine {
    let level: Logger.Level
    let message: String
    /// By name, each once.
    let fields: [(name: String, value: String)]

    /// As for a terminal: `warning: message`, with what the message does not say itself left to the journal.
    var text: String {
        level == .info || level == .notice ? message : "\(level): \(message)"
    }

    /// Whether it says only what whoever sits at the terminal sees anyway.
    var isForSystem: Bool {
        let events: [DaemonEvent] = [.mounted, .unmounted]
        return fields.contains { name, value in
            name == DaemonEvent.key && events.contains { $0.rawValue == value }
        }
    }

    /// The severity of syslog(3): 0 is the worst, 7 is for debugging.
    var priority: Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    /// A datagram of the journal's native protocol: a line `NAME=value` for each field. A value of several
    /// lines would need another form; none has any here.
    func journalEntry(dropped: Int) -> [UInt8] {
        var entry = [
            ("MESSAGE", message), ("PRIORITY", "\(priority)"), ("SYSLOG_IDENTIFIER", "dmemfs"),
        ]
        for (name, value) in fields {
            entry.append(("DMEMFS_\(name.uppercased())", value))
            if name == DaemonEvent.key, let event = DaemonEvent(rawValue: value) {
                entry.append(("MESSAGE_ID", event.messageID))
            }
        }
        if dropped > 0 { entry.append(("DMEMFS_DROPPED", "\(dropped)")) }
        let lines = entry.map { name, value in
            "\(name)=\(String(value.map { $0.isNewline ? " " : $0 }))\n"
        }
        return Array(lines.joined().utf8)
    }

    /// A datagram for /dev/log.
    func syslogEntry(process: Int32) -> [UInt8] {
        let daemon = 3 << 3  // LOG_DAEMON
        return Array("<\(daemon | priority)>dmemfs[\(process)]: \(message)".utf8)
    }
}
