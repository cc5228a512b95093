public import Basics
import Synchronization
import Telemetry

/// Who may have how many bytes: a limit and what is in use of it, with an optional ledger above that must agree.
///
/// Invariant: `used <= limit` at every moment, at every level; `used` is the sum of all charges and reservations.
/// All operations are atomics without a lock. They are relaxed because the counters publish no other memory: what
/// was paid for is published by the lock of the inode that owns it.
public final class QuotaLedger: Sendable {
    /// The mount's ledger for a directory's, nil for the mount's own.
    public let parent: QuotaLedger?
    public let limitBytes: Int
    private let used = Atomic<Int>(0)
    private let data = Atomic<Int>(0)
    private let peak = Atomic<Int>(0)
    private let reserved = Atomic<Int>(0)
    private let refusals: RefusalCounts

    /// - Parameter limitBytes: in bytes, above 0.
    public init(limitBytes: Int, parent: QuotaLedger? = nil, refusals: RefusalCounts = RefusalCounts()) {
        precondition(limitBytes > 0)
        self.limitBytes = limitBytes
        self.parent = parent
        self.refusals = refusals
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
    /// - Throws: `.noSpace` where the mount's limit refuses, `.diskQuotaExceeded` where a ledger below it does.
    public func reserve(_ bytes: Int) throws(Errno) -> Reservation {
        precondition(bytes >= 0)
        var level: QuotaLedger? = self
        while let ledger = level {
            guard ledger.take(bytes) else {
                giveBack(bytes, below: ledger)
                throw ledger.refuse()
            }
            level = ledger.parent
        }
        return Reservation(bytes, of: self)
    }

    private func take(_ bytes: Int) -> Bool {
        var seen = used.load(ordering: .relaxed)
        while true {
            // Subtract, so that the test cannot overflow.
            guard bytes <= limitBytes - seen else { return false }
            let (won, now) = used.weakCompareExchange(expected: seen, desired: seen + bytes, ordering: .relaxed)
            if won { break }
            seen = now
        }
        peak.max(seen + bytes, ordering: .relaxed)
        reserved.wrappingAdd(bytes, ordering: .relaxed)
        return true
    }

    private func giveBack(_ bytes: Int, below stop: QuotaLedger) {
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
