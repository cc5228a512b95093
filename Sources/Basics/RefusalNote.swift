import CLinux

/// Which limit refuses.
public enum RefusalKind: UInt32, Sendable, CaseIterable {
    /// The mount's limit of bytes.
    case bytes = 1
    /// The mount's limit of nodes.
    case nodes
    /// A directory's quota, of either.
    case directory
    /// A user's limit, of either.
    case user
    case memoryGuard
    /// The storage kind, or the promotion limit.
    case storage
    /// Any of them, where the kernel wrote back a page that a program has dirtied through a mapping.
    case writeback

    /// As `status`, `why` and the log name it.
    public var name: String {
        switch self {
        case .bytes: "bytes"
        case .nodes: "nodes"
        case .directory: "directory"
        case .user: "user"
        case .memoryGuard: "guard"
        case .storage: "storage"
        case .writeback: "writeback"
        }
    }
}

/// Which limit has refused, and with which figures.
///
/// It is known deep in the ledgers; who was refused what is known where the request is answered. The two meet
/// on the thread that serves the request: one leaves the note there, the other takes it. So nothing is handed
/// through what lies between, and what is not refused costs nothing.
public struct RefusalNote: Hashable, Sendable {
    public var kind: RefusalKind
    /// The number of the level that refused; 0 where it was none's limit.
    public var level: UInt64
    /// What was wanted and what was left of it, in bytes or nodes; nil where that is not the point.
    public var asked: Int?
    public var free: Int?
    public var limit: Int?
    /// Whether the amounts are nodes.
    public var countsNodes: Bool

    public init(
        _ kind: RefusalKind, at level: UInt64 = 0, asked: Int? = nil, free: Int? = nil, limit: Int? = nil,
        countsNodes: Bool = false
    ) {
        self.kind = kind
        self.level = level
        self.asked = asked
        self.free = free
        self.limit = limit
        self.countsNodes = countsNodes
    }

    /// Leaves this on the calling thread, instead of what was there.
    public func leave() {
        let note = linux_refusal(
            kind: kind.rawValue, counts_nodes: countsNodes ? 1 : 0, level: level, asked: Int64(asked ?? -1),
            free: Int64(free ?? -1), limit: Int64(limit ?? -1))
        unsafe linux_thread_refusal().pointee = note
    }

    /// Takes what was left on the calling thread; nil where nothing was.
    public static func take() -> RefusalNote? {
        let place = unsafe linux_thread_refusal()
        let note = unsafe place.pointee
        guard let kind = RefusalKind(rawValue: note.kind) else { return nil }
        unsafe place.pointee.kind = 0
        return RefusalNote(
            kind, at: note.level, asked: amount(note.asked), free: amount(note.free),
            limit: amount(note.limit), countsNodes: note.counts_nodes != 0)
    }

    /// Whether a caller may be told `error` for it.
    public func fits(_ error: Errno) -> Bool {
        switch kind {
        case .bytes, .memoryGuard: error == .noSpace
        case .directory, .user: error == .diskQuotaExceeded
        // As the mount's options name it.
        case .nodes: error != .notSupportedOnSocket
        case .storage: error == .notSupportedOnSocket
        case .writeback: false
        }
    }

    private static func amount(_ value: Int64) -> Int? { value < 0 ? nil : Int(value) }
}
