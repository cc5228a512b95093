import Synchronization

/// Lets a test fail one step of an operation: the n-th reservation, or the n-th piece of memory of a kind.
///
/// Armed, it fails exactly one step and is spent. A mount has no plan: each step then costs one comparison
/// with nil. Sendable by its atomics; they are relaxed, since whoever arms a plan runs the operation too.
public final class FaultPlan: Sendable {
    /// What can fail.
    public enum Step: Int, CaseIterable, Sendable {
        /// Bytes of the ledger.
        case reservation
        /// A run of pages for the bytes of a file.
        case pages
        /// A block of the heap.
        case block
        /// A slot for an inode.
        case slot
    }

    private static let none = -1
    private let armed = Atomic<Int>(FaultPlan.none)
    /// How many steps of the armed kind still succeed.
    private let left = Atomic<Int>(0)

    public init() {}

    /// Fails the step of this kind that is number `count`, from 1.
    public func arm(_ step: Step, at count: Int) {
        precondition(count > 0, "steps are counted from 1")
        left.store(count - 1, ordering: .relaxed)
        armed.store(step.rawValue, ordering: .relaxed)
    }

    /// Ends the plan. Returns whether it had struck.
    public func disarm() -> Bool {
        armed.exchange(FaultPlan.none, ordering: .relaxed) == FaultPlan.none
    }

    /// Whether this step must fail.
    public func strikes(_ step: Step) -> Bool {
        guard armed.load(ordering: .relaxed) == step.rawValue else { return false }
        guard left.wrappingSubtract(1, ordering: .relaxed).oldValue == 0 else { return false }
        armed.store(FaultPlan.none, ordering: .relaxed)
        return true
    }
}
