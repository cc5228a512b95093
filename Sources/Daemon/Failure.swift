/// What the program ends with. A promise to scripts.
public enum ExitStatus: Int32, Sendable {
    case success = 0
    /// The daemon understood and said no.
    case refused = 1
    /// A mount or an unmount did not come about.
    case mountFailed = 32
    case usage = 64
    /// No dmemfs is mounted there, or its daemon is dead.
    case notMounted = 69
    case bug = 70
}

/// Why something did not come about: one English line with its remedy, and what the program ends with.
public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    public let status: ExitStatus

    public init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}
