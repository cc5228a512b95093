/// What a tree holds and what it has refused, read without a lock: each figure is exact, their sum may
/// straddle a request.
public struct Usage: Hashable, Sendable {
    public var limitBytes = 0
    /// `dataBytes + metadataBytes`; above `limitBytes` only while a lowered limit drains.
    public var usedBytes = 0
    /// `usedBytes` without the memory that is held for nobody: the sum of all charges and reservations.
    public var chargedBytes = 0
    public var dataBytes = 0
    public var metadataBytes = 0
    /// The highest `usedBytes` since the start.
    public var peakBytes = 0
    /// The same since `Tree.resetPeaks`.
    public var recentPeakBytes = 0
    /// Set aside for requests in flight and reservations; part of `usedBytes`.
    public var reservedBytes = 0
    /// nil where there is no node limit.
    public var maxNodes: Int?
    public var nodes = 0
    /// The highest `nodes` since the start.
    public var peakNodes = 0
    /// The same since `Tree.resetPeaks`.
    public var recentPeakNodes = 0
    /// Held by files that have no name left and are still open.
    public var openUnlinkedBytes = 0
    public var refusals = Refusals()

    public init() {}

    /// How many operations were refused, by cause.
    public struct Refusals: Hashable, Sendable {
        public var bytes = 0
        public var nodes = 0
        public var directory = 0
        public var user = 0
        public var guardRefusals = 0
        public var storage = 0
        public var writeback = 0

        public init() {}
    }
}
