public import Telemetry

/// How many operations were refused since the start, by cause.
public struct RefusalCounts: Sendable {
    /// The mount's byte limit.
    public let bytes = Counter()
    /// The node limit.
    public let nodes = Counter()
    /// A directory's quota.
    public let directory = Counter()
    /// The memory guard.
    public let memoryGuard = Counter()
    /// The storage kind.
    public let storage = Counter()
    /// Pages that the kernel wrote back from a shared mapping and that did not fit.
    public let writeback = Counter()

    public init() {}
}
