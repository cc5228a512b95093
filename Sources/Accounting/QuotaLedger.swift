public import Basics
import Synchronization
import Telemetry

/// Who may have how many bytes: a limit and what is in use of it, with an optional ledger above that must
/// agree.
///
/// Invariant: `used <= limit` at every moment, at every level; `used` is the sum of all charges and
/// reservations. All operations are atomics without a lock. They are relaxed because the counters publish no
/// other memory: what was paid for is published by the lock of the inode that owns it.
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
    /// Asked before anything grows, on the mount's level; nil for no guard.
    private let memoryGuard: MemoryGuard?
    /// What a test lets fail, here and where memory is taken; nil on a mount.
    public let faults: FaultPlan?

    /// - Parameter limitBytes: in bytes, above 0.
    public init(
        limitBytes: Int, parent: QuotaLedger? = nil, refusals: RefusalCounts = RefusalCounts(),
        guardedBy memoryGuard: MemoryGuard? = nil, faults: FaultPlan? = nil
    ) {
        precondition(limitBytes > 0)
        limit = Atomic(limitBytes)
        self.parent = parent
        self.refusals = refusals
        slack = parent?.slack ?? Slack()
        self.memoryGuard = memoryGuard
        self.faults = faults ?? parent?.faults
    }

    /// The most that may be used, in bytes.
    public var limitBytes: Int { limit.load(ordering: .relaxed) }

    /// Sets the limit while the mount is in use.
    ///
    /// Below what is used the limit is set only where `draining`: nothing grows then until use has fallen
    /// below it. Returns whether it was set.
    public func setLimit(_ bytes: Int, draining: Bool) -> Bool {
        precondition(bytes > 0)
        let before = limit.exchange(bytes, ordering: .sequentiallyConsistent)
        // Set first and look then: what is reserved in between has seen the new limit.
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

    /// Sets `bytes` aside at every level, or changes nothing.
    ///
    /// - Throws: `.noSpace` where the mount's limit refuses, `.diskQuotaExceeded` where a ledger below it
    ///   does.
    public func reserve(_ bytes: Int) throws(Errno) -> Reservation {
        precondition(bytes >= 0)
        if let faults, bytes > 0, faults.strikes(.reservation) { throw refuse() }
        var level: QuotaLedger? = self
        while let ledger = level {
            guard ledger.take(bytes) else {
                giveBack(bytes, below: ledger)
                throw ledger.refuse()
            }
            level = ledger.parent
        }
        if let memoryGuard, bytes > 0, !memoryGuard.admit(bytes) {
            giveBack(bytes, below: nil)
            refusals.memoryGuard.add()
            throw .noSpace
        }
        return Reservation(bytes, of: self)
    }

    private func take(_ bytes: Int) -> Bool {
        var seen = used.load(ordering: .relaxed)
        while true {
            // Subtract, so that the test cannot overflow.
            guard bytes <= limitBytes - seen || bytes == 0 else { return false }
            let (won, now) = used.weakCompareExchange(
                expected: seen, desired: seen + bytes, ordering: .relaxed)
            if won { break }
            seen = now
        }
        peak.max(seen + bytes, ordering: .relaxed)
        reserved.wrappingAdd(bytes, ordering: .relaxed)
        return true
    }

    private func giveBack(_ bytes: Int, below stop: QuotaLedger?) {
        var level: QuotaLedger? = self
        while let ledger = level, ledger !== stop {
            ledger.reserved.wrappingSubtract(bytes, ordering: .relaxed)
            ledger.used.wrappingSubtract(bytes, ordering: .relaxed)
            level = ledger.parent
        }
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
    func settle(_ bytes: Int, data dataDelta: Int, metadata metadataDelta: Int) {
        let change = dataDelta + metadataDelta - bytes
        var level: QuotaLedger? = self
        while let ledger = level {
            if dataDelta != 0 { ledger.data.wrappingAdd(dataDelta, ordering: .relaxed) }
            if bytes != 0 { ledger.reserved.wrappingSubtract(bytes, ordering: .relaxed) }
            if change != 0 { ledger.used.wrappingAdd(change, ordering: .relaxed) }
            level = ledger.parent
        }
    }
}
