import Basics
public import Logging

/// A log for a terminal or a journal: `dmemfs: warning: message key=value`, one line on the standard error.
public struct LineLog: LogHandler {
    public var logLevel = Logger.Level.info
    public var metadata: Logger.Metadata = [:]

    public init() {}

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let pairs = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        let level = event.level == .info || event.level == .notice ? "" : "\(event.level): "
        Files.complain("dmemfs: \(level)\(event.message)\(pairs)")
    }
}
