public import Basics
import Synchronization
import Telemetry

/// Who may have how many bytes: a limit and what is in use of it, with an optional ledger above that must
/// agree.
///
/// Invariant: `used <= limit` at every moment, at every level, but for a limit that was lowered to drain;
/// `used` is the sum of all charges and reservations. All operations are atomics without a lock. They are
/// relaxed because the counters publish no other memory: what was paid for is published by the lock of the
/// inode that owns it. Only the limit and what is used meet in an order that all agree on.
public final class QuotaLedger: Sendable {
    /// The mount's ledger for a directory's, nil for the mount's own.
    public let parent: QuotaLedger?
    private let limit: Atomic<Int>
    private let used = Atomic<Int>(0)
    private let data = Atomic<Int>(0)
    private let peak = Atomic<Int>(0)
    private let reserved = Atomic<Int>(0)
    private let refusals: RefusalCounts
    /// Of the mount, whatever the level.
    public let slack: Slack
    /// Asked before anything grows; of the mount, whatever the level. nil for no guard.
    private let memoryGuard: MemoryGuard?
    /// What a test lets fail, here and where memory is taken; nil on a mount.
    public let faults: FaultPlan?
    /// Of the mount, whatever the level: bounds what the kernel stores by itself; nil where it does not.
    public let wall: Wall?

    /// - Parameter limitBytes: in bytes, above 0.
    public init(
        limitBytes: Int, parent: QuotaLedger? = nil, refusals: RefusalCounts = RefusalCounts(),
        guardedBy memoryGuard: MemoryGuard? = nil, wall: Wall? = nil, faults: FaultPlan? = nil
    ) {
        precondition(limitBytes > 0)
        limit = Atomic(limitBytes)
        self.parent = parent
        self.refusals = refusals
        slack = parent?.slack ?? Slack()
        self.memoryGuard = parent?.memoryGuard ?? memoryGuard
        self.faults = faults ?? parent?.faults
        self.wall = parent?.wall ?? wall
    }

    /// The most that may be used, in bytes.
    public var limitBytes: Int { limit.load(ordering: .relaxed) }

    /// Sets the limit while the mount is in use.
    ///
    /// Below what is used the limit is set only where `draining`: nothing grows then until use has fallen
    /// below it. Returns whether it was set.
    public func setLimit(_ bytes: Int, draining: Bool) -> Bool {
        precondition(bytes > 0)
        // A limit that is plainly too low is not even set for a moment, in which others would be refused.
        if !draining, usedBytes > bytes { return false }
        let before = limit.exchange(bytes, ordering: .sequentiallyConsistent)
        // Set first and look then, as `take` takes first and looks then: one of the two sees the other.
        if !draining, used.load(ordering: .sequentiallyConsistent) > bytes {
            limit.store(before, ordering: .sequentiallyConsistent)
            return false
        }
        return true
    }

    /// Whether a pool may take `bytes` more of which nothing is charged yet: 0 for what has been reserved.
    ///
    /// Everything that takes memory asks, whole pages too: what is held for nobody lies beside them.
    public func admitsPage(of bytes: Int) -> Bool {
        if usedBytes + slack.bytes + bytes <= limitBytes + Slack.allowanceBytes { return true }
        refusals.bytes.add()
        return false
    }

    public var usedBytes: Int { used.load(ordering: .relaxed) }
    /// The part of `usedBytes` that is file data; the rest is metadata.
    public var dataBytes: Int { data.load(ordering: .relaxed) }
    /// The highest `usedBytes` there has been.
    public var peakBytes: Int { peak.load(ordering: .relaxed) }
    /// The part of `usedBytes` that is set aside for operations in flight.
    public var reservedBytes: Int { reserved.load(ordering: .relaxed) }

    /// What may be written now as far as the memory guard is concerned, in bytes.
    public var admittedBytes: Int { memoryGuard?.admittedBytes { use(but: 0) } ?? .max }

    /// Has the memory guard look where its last look is an interval old.
    public func lookAtMemory() {
        memoryGuard?.look { use(but: 0) }
    }

    /// What the whole mount uses and has set aside for operations in flight, but for `own`.
    private func use(but own: Int) -> MemoryGuard.Use {
        var ledger = self
        while let parent = ledger.parent { ledger = parent }
        let inFlight = max(0, ledger.reservedBytes - own)
        return MemoryGuard.Use(usedBytes: ledger.usedBytes - own, inFlightBytes: inFlight)
    }

    /// Sets `bytes` aside at every level, or changes nothing.
    ///
    /// - Parameters:
    ///   - unguarded: the memory guard is not asked.
    ///   - behindWall: for bytes that are stored behind the wall, which is then not asked.
    /// - Throws: `.noSpace` where the mount's limit, the wall or the guard refuses, `.diskQuotaExceeded`
    ///   where a ledger below it does.
    public func reserve(
        _ bytes: Int, unguarded: Bool = false, behindWall: Bool = false
    ) throws(Errno) -> Reservation {
        precondition(bytes >= 0)
        if let faults, bytes > 0, faults.strikes(.reservation) { throw refuse() }
        try takeEverywhere(bytes)
        if let memoryGuard, bytes > 0, !unguarded, !memoryGuard.admit(bytes, use: { use(but: bytes) }) {
            giveBack(bytes)
            refusals.memoryGuard.add()
            throw .noSpace
        }
        if let wall, bytes > 0, !behindWall, !wall.admit(bytes) {
            giveBack(bytes)
            refusals.bytes.add()
            throw .noSpace
        }
        return Reservation(bytes, of: self, behindWall: behindWall)
    }

    /// Counts a refusal by the wall.
    public func refuseAtWall() -> Errno {
        refusals.bytes.add()
        return .noSpace
    }

    /// The peak of use that was seen, where more is used than is charged.
    public func notePeak(_ bytes: Int) {
        peak.max(bytes, ordering: .relaxed)
    }

    /// Takes `bytes` here and at each level above, or nowhere. A level calls the next one: a loop would count
    /// a reference to each ledger, on a word that all threads share.
    private func takeEverywhere(_ bytes: Int) throws(Errno) {
        guard take(bytes) else { throw refuse() }
        guard let parent else { return }
        do throws(Errno) {
            try parent.takeEverywhere(bytes)
        } catch {
            giveBackHere(bytes)
            throw error
        }
    }

    private func take(_ bytes: Int) -> Bool {
        if bytes == 0 { return true }
        var seen = used.load(ordering: .relaxed)
        while true {
            // Subtract, so that the test cannot overflow.
            guard bytes <= limitBytes - seen else { return false }
            let (won, now) = used.weakCompareExchange(
                expected: seen, desired: seen + bytes, ordering: .sequentiallyConsistent)
            if won { break }
            seen = now
        }
        // The limit may have been lowered since it was read.
        guard seen + bytes <= limit.load(ordering: .sequentiallyConsistent) else {
            used.wrappingSubtract(bytes, ordering: .relaxed)
            return false
        }
        peak.max(seen + bytes, ordering: .relaxed)
        reserved.wrappingAdd(bytes, ordering: .relaxed)
        return true
    }

    private func giveBack(_ bytes: Int) {
        giveBackHere(bytes)
        parent?.giveBack(bytes)
    }

    private func giveBackHere(_ bytes: Int) {
        reserved.wrappingSubtract(bytes, ordering: .relaxed)
        used.wrappingSubtract(bytes, ordering: .relaxed)
    }

    private func refuse() -> Errno {
        if parent == nil {
            refusals.bytes.add()
            return .noSpace
        }
        refusals.directory.add()
        return .diskQuotaExceeded
    }

    /// A reservation of `bytes` has ended: use has changed by `data` and `metadata`, which may be negative.
    func settle(_ bytes: Int, data dataDelta: Int, metadata metadataDelta: Int, behindWall: Bool = true) {
        let change = dataDelta + metadataDelta - bytes
        if dataDelta != 0 { data.wrappingAdd(dataDelta, ordering: .relaxed) }
        if bytes != 0 { reserved.wrappingSubtract(bytes, ordering: .relaxed) }
        if change != 0 { used.wrappingAdd(change, ordering: .relaxed) }
        if let parent {
            parent.settle(bytes, data: dataDelta, metadata: metadataDelta, behindWall: behindWall)
        } else {
            wall?.settle(metadataDelta - (behindWall ? 0 : bytes))
        }
    }
}
