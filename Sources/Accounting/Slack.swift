import Synchronization

/// Memory that is held but charged to nobody: free blocks in pages that others still need, free inode slots
/// likewise.
///
/// A bounded amount of it, the allowance, is nobody's concern. What exceeds it is real memory all the same:
/// it counts as used where use is reported, and a pool may not take a new page for small pieces while charges
/// and slack together would pass the limit by more than the allowance. So memory stays bounded even where
/// pieces were freed in the worst order. Atomics, relaxed: nothing is published by them.
public final class Slack: Sendable {
    /// In bytes.
    public static let allowanceBytes = 6 << 20

    private let held = Atomic<Int>(0)

    init() {}

    /// In bytes; never negative.
    public var bytes: Int { max(0, held.load(ordering: .relaxed)) }

    /// What counts as used, in bytes.
    public var excessBytes: Int { max(0, bytes - Slack.allowanceBytes) }

    public func change(by bytes: Int) {
        held.wrappingAdd(bytes, ordering: .relaxed)
    }
}
