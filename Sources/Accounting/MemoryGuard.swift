import Synchronization

/// Refuses growth while the machine, or a cgroup on the way up, is short of memory: before the OOM killer
/// acts.
///
/// Availability is read at most once an interval, and what has grown since the last reading is subtracted, so
/// that thousands of small writes cannot pass on one stale reading. A write that needs nothing is never asked
/// about. Atomics without a lock; the one thread that finds the reading old reads anew, the others go on with
/// what there is.
public final class MemoryGuard: Sendable {
    /// When the guard looks, and what it does.
    public enum Mode: String, Sendable, CaseIterable {
        /// Never.
        case none
        /// At the start only.
        case start = "init"
        /// At the start, and before each growth.
        case perWrite = "per_write"
    }

    public enum Action: String, Sendable, CaseIterable {
        /// Say so, and go on.
        case warn
        /// Refuse with ENOSPC; at the start, do not mount.
        case raise
    }

    /// How the guard is set up.
    public struct Policy: Hashable, Sendable {
        public var mode: Mode
        public var action: Action
        /// The least time between two readings, in milliseconds; at least 1.
        public var intervalMilliseconds: Int
        /// What must stay available for everybody else, in bytes.
        public var headroomBytes: Int

        public init(
            mode: Mode = .perWrite, action: Action = .raise, intervalMilliseconds: Int = 1000,
            headroomBytes: Int = 64 << 20
        ) {
            self.mode = mode
            self.action = action
            self.intervalMilliseconds = intervalMilliseconds
            self.headroomBytes = headroomBytes
        }
    }

    /// How much more than the headroom must be available before a tripped guard lets go, as a part of the
    /// headroom.
    private static let releaseShare = 4
    /// A refusal reads anew at most this often: memory that comes free is seen soon, at a bounded cost.
    private static let retryMilliseconds = 20

    public let policy: Policy
    private let available: @Sendable () -> Int?
    private let milliseconds: @Sendable () -> Int
    private let reader = Atomic<Bool>(false)
    private let lastReading = Atomic<Int>(Int.min / 2)
    /// What may still grow on the last reading, in bytes.
    private let left = Atomic<Int>(0)
    private let lastAvailable = Atomic<Int>(-1)
    private let tripped = Atomic<Bool>(false)

    /// - Parameters:
    ///   - available: reads how many bytes the machine and the cgroups have left; nil where that cannot be
    ///     known.
    ///   - milliseconds: a clock that never goes back.
    public init(
        _ policy: Policy, available: @escaping @Sendable () -> Int?,
        milliseconds: @escaping @Sendable () -> Int
    ) {
        self.policy = policy
        self.available = available
        self.milliseconds = milliseconds
    }

    /// Whether the guard refuses at present.
    public var isTripped: Bool { tripped.load(ordering: .relaxed) }

    /// What was available at the last reading, in bytes; nil before the first.
    public var availableBytes: Int? {
        let bytes = lastAvailable.load(ordering: .relaxed)
        return bytes < 0 ? nil : bytes
    }

    /// What may be written now as far as the guard is concerned, in bytes: a fresh reading where the last one
    /// is old.
    public var admittedBytes: Int {
        guard policy.mode == .perWrite, policy.action == .raise else { return .max }
        readIfOld(milliseconds(), olderThan: policy.intervalMilliseconds)
        return isTripped ? 0 : max(0, left.load(ordering: .relaxed))
    }

    /// Whether `bytes` more may be used.
    func admit(_ bytes: Int) -> Bool {
        guard policy.mode == .perWrite else { return true }
        let now = milliseconds()
        readIfOld(now, olderThan: policy.intervalMilliseconds)
        if take(bytes) { return true }
        // What others have freed meanwhile is worth a look before somebody is refused.
        readIfOld(now, olderThan: MemoryGuard.retryMilliseconds)
        if take(bytes) { return true }
        tripped.store(true, ordering: .relaxed)
        return policy.action == .warn
    }

    private func take(_ bytes: Int) -> Bool {
        guard !isTripped else { return false }
        let rest = left.wrappingSubtract(bytes, ordering: .relaxed).newValue
        if rest >= 0 { return true }
        left.wrappingAdd(bytes, ordering: .relaxed)
        return false
    }

    private func readIfOld(_ now: Int, olderThan age: Int) {
        guard now - lastReading.load(ordering: .relaxed) >= age else { return }
        guard !reader.exchange(true, ordering: .acquiring) else { return }
        defer { reader.store(false, ordering: .releasing) }
        read(now)
    }

    /// Reads what is available, now.
    public func read(_ now: Int) {
        lastReading.store(now, ordering: .relaxed)
        guard let bytes = available() else {
            // What cannot be read cannot be guarded: the quota still holds.
            left.store(.max, ordering: .relaxed)
            tripped.store(false, ordering: .relaxed)
            return
        }
        lastAvailable.store(max(0, bytes), ordering: .relaxed)
        let spare = bytes - policy.headroomBytes
        // Once tripped it takes a little more than the headroom to let go, or it would flap.
        let wanted = isTripped ? policy.headroomBytes / MemoryGuard.releaseShare : 0
        tripped.store(spare <= wanted, ordering: .relaxed)
        left.store(spare, ordering: .relaxed)
    }
}
