public import Basics
public import Telemetry

/// How many operations were refused since the start, by cause.
public struct RefusalCounts: Sendable {
    /// The mount's byte limit.
    public let bytes = Counter()
    /// The node limit.
    public let nodes = Counter()
    /// A directory's quota.
    public let directory = Counter()
    /// A user's limit.
    public let user = Counter()
    /// The memory guard.
    public let memoryGuard = Counter()
    /// The storage kind.
    public let storage = Counter()
    /// Pages that the kernel wrote back from a shared mapping and that did not fit.
    public let writeback = Counter()

    public init() {}

    func count(of kind: RefusalKind) -> Counter {
        switch kind {
        case .bytes: bytes
        case .nodes: nodes
        case .directory: directory
        case .user: user
        case .memoryGuard: memoryGuard
        case .storage: storage
        case .writeback: writeback
        }
    }

    /// Counts a refusal, and notes it for whoever answers the request that this thread serves.
    public func add(_ note: RefusalNote) {
        count(of: note.kind).add()
        note.leave()
    }

    /// Takes the last refusal that this thread has met out of the counts: nobody will see it.
    public func withdrawLast() {
        if let note = RefusalNote.take() { count(of: note.kind).add(-1) }
    }
}
