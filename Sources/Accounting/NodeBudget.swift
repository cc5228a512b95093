public import Basics
import Synchronization
import Telemetry

/// Who may have how many nodes: files, directories, symlinks, devices, pipes and sockets each count one.
///
/// Invariant: `used <= limit`, but for a limit that was lowered to drain. Atomics without a lock, ordered as
/// in `QuotaLedger`.
public final class NodeBudget: Sendable {
    /// `Int.max`: only the bytes bound the nodes.
    private let most: Atomic<Int>
    private let refusalErrno: Errno
    private let used = Atomic<Int>(0)
    private let peak = Atomic<Int>(0)
    private let refusals: RefusalCounts

    public init(limit: Int?, refusing refusalErrno: Errno, refusals: RefusalCounts = RefusalCounts()) {
        most = Atomic(limit ?? .max)
        self.refusalErrno = refusalErrno
        self.refusals = refusals
    }

    /// The most nodes there may be; nil where only the bytes bound them.
    public var limit: Int? {
        let nodes = most.load(ordering: .relaxed)
        return nodes == .max ? nil : nodes
    }

    /// Sets the limit while the mount is in use, under the same rule as `QuotaLedger.setLimit`.
    public func setLimit(_ nodes: Int?, draining: Bool) -> Bool {
        if !draining, usedNodes > nodes ?? .max { return false }
        let before = most.exchange(nodes ?? .max, ordering: .sequentiallyConsistent)
        if !draining, used.load(ordering: .sequentiallyConsistent) > nodes ?? .max {
            most.store(before, ordering: .sequentiallyConsistent)
            return false
        }
        return true
    }

    public var usedNodes: Int { used.load(ordering: .relaxed) }

    /// The highest `usedNodes` since the start.
    public var peakNodes: Int { peak.load(ordering: .relaxed) }

    /// Sets one node aside, or throws the mount's node-limit errno and changes nothing.
    public func reserve() throws(Errno) -> NodeReservation {
        var seen = used.load(ordering: .relaxed)
        while seen < most.load(ordering: .relaxed) {
            let (won, now) = used.weakCompareExchange(
                expected: seen, desired: seen + 1, ordering: .sequentiallyConsistent)
            if won {
                // The limit may have been lowered since it was read, as in `QuotaLedger`.
                if seen < most.load(ordering: .sequentiallyConsistent) {
                    peak.max(seen + 1, ordering: .relaxed)
                    return NodeReservation(of: self)
                }
                giveBack()
                break
            }
            seen = now
        }
        refusals.nodes.add()
        throw refusalErrno
    }

    /// A node that had been committed is gone.
    public func giveBack() {
        let before = used.wrappingSubtract(1, ordering: .relaxed).oldValue
        precondition(before > 0, "more nodes were given back than were taken")
    }
}

/// One node set aside: committed when it exists, returned on `deinit` when it does not come to be.
public struct NodeReservation: ~Copyable {
    private let budget: NodeBudget
    private var isCommitted = false

    init(of budget: NodeBudget) {
        self.budget = budget
    }

    public consuming func commit() {
        isCommitted = true
    }

    deinit {
        if !isCommitted { budget.giveBack() }
    }
}
