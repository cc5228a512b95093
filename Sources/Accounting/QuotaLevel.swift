public import Basics
import Synchronization

/// One limit, in bytes and in nodes, and what is in use of it: the mount's, a directory's, or a user's.
///
/// Files, directories, symlinks, devices, pipes and sockets count one node each. Invariant: use is at most
/// the limit at every moment, but for a limit that was lowered to drain. All operations are atomics without a
/// lock. They are relaxed because they publish no other memory: what was paid for is published by the lock of
/// the inode that owns it. Only a limit and what is used of it meet in an order that all agree on.
public final class QuotaLevel: Sendable {
    private static let levels = Atomic<UInt64>(0)
    /// Never used twice in this process; above 0.
    public let number: UInt64
    /// `Int.max`: none.
    private let mostBytes: Atomic<Int>
    private let used = Atomic<Int>(0)
    /// `Int.max`: none.
    private let mostNodes: Atomic<Int>
    private let nodes = Atomic<Int>(0)
    private let nodePeak = Atomic<Int>(0)
    /// The highest `nodePeak` of before it was reset.
    private let formerNodePeak = Atomic<Int>(0)
    let byteMarks = UseMarks()
    let nodeMarks = UseMarks()
    /// Called when use has passed a mark, and when a limit was changed; nil where nobody watches. From any
    /// thread, also one that holds locks of rank 4: to be quick about.
    public let wake: (@Sendable () -> Void)?
    /// Whether the bytes of the limit were set aside from the level above, which is then not asked for each.
    public let isSetAside: Bool
    /// Whose limit it is, by the number of the user; nil for the mount's and a directory's.
    public let user: UInt32?
    private let keepsPeak: Bool
    private let peak = Atomic<Int>(0)
    private let formerPeak = Atomic<Int>(0)
    /// What a directory's or a user's level costs itself, and what was set aside for it, charged to the
    /// ledger above. It is given back with the level at the latest. Rank 4.
    private let held = Lock<Charge?>(nil, as: .quota)

    /// - Parameters:
    ///   - bytes: above 0; nil for no limit.
    ///   - nodes: nil for no limit.
    ///   - user: whose limit it is; nil for the mount's and a directory's.
    ///   - keepsPeak: the mount's level does; no other, since each write would pay for it.
    ///   - wake: told when use passes a mark.
    public init(
        bytes: Int?, nodes: Int? = nil, isSetAside: Bool = false, of user: UInt32? = nil,
        keepsPeak: Bool = false, waking wake: (@Sendable () -> Void)? = nil
    ) {
        self.wake = wake
        precondition(bytes ?? 1 > 0)
        number = QuotaLevel.levels.wrappingAdd(1, ordering: .relaxed).newValue
        mostBytes = Atomic(bytes ?? .max)
        mostNodes = Atomic(nodes ?? .max)
        self.isSetAside = isSetAside
        self.user = user
        self.keepsPeak = keepsPeak
    }

    /// The most that may be used, in bytes; nil for no limit.
    public var maxBytes: Int? {
        let bytes = limitBytes
        return bytes == .max ? nil : bytes
    }

    /// The most nodes there may be; nil for no limit.
    public var maxNodes: Int? {
        let nodes = limitNodes
        return nodes == .max ? nil : nodes
    }

    var limitBytes: Int { mostBytes.load(ordering: .relaxed) }
    var limitNodes: Int { mostNodes.load(ordering: .relaxed) }
    public var usedBytes: Int { used.load(ordering: .relaxed) }
    public var usedNodes: Int { nodes.load(ordering: .relaxed) }
    /// The same, in one order with the marks.
    var currentBytes: Int { used.load(ordering: .sequentiallyConsistent) }
    var currentNodes: Int { nodes.load(ordering: .sequentiallyConsistent) }
    /// The highest `usedBytes` there has been, where that is kept.
    var peakBytes: Int { max(recentPeakBytes, formerPeak.load(ordering: .relaxed)) }
    /// The same since `resetPeaks`.
    var recentPeakBytes: Int { peak.load(ordering: .relaxed) }

    /// The highest `usedNodes` there has been, where that is kept.
    public var peakNodes: Int { max(recentPeakNodes, formerNodePeak.load(ordering: .relaxed)) }
    /// The same since `resetPeaks`.
    public var recentPeakNodes: Int { nodePeak.load(ordering: .relaxed) }

    // MARK: - Limits

    /// Sets the limit while it is in use; nil for none.
    ///
    /// Below what is used the limit is set only where `draining`: nothing grows then until use has fallen
    /// below it. Returns whether it was set.
    public func setMaxBytes(_ bytes: Int?, draining: Bool) -> Bool {
        precondition(bytes ?? 1 > 0)
        defer { wake?() }
        return QuotaLevel.set(mostBytes, bytes ?? .max, used, draining: draining)
    }

    /// The same for the limit of nodes.
    public func setMaxNodes(_ nodes: Int?, draining: Bool) -> Bool {
        defer { wake?() }
        return QuotaLevel.set(mostNodes, nodes ?? .max, self.nodes, draining: draining)
    }

    private static func set(
        _ limit: borrowing Atomic<Int>, _ value: Int, _ used: borrowing Atomic<Int>, draining: Bool
    ) -> Bool {
        // A limit that is plainly too low is not even set for a moment, in which others would be refused.
        if !draining, used.load(ordering: .relaxed) > value { return false }
        let before = limit.exchange(value, ordering: .sequentiallyConsistent)
        // Set first and look then, as `take` takes first and looks then: one of the two sees the other.
        if !draining, used.load(ordering: .sequentiallyConsistent) > value {
            limit.store(before, ordering: .sequentiallyConsistent)
            return false
        }
        return true
    }

    // MARK: - Use

    /// Apart, so that what takes and gives back stays small.
    @inline(never)
    private func ring() { wake?() }

    @inline(__always)
    func take(_ bytes: Int) -> Bool {
        guard let now = QuotaLevel.take(bytes, of: mostBytes, used) else { return false }
        if keepsPeak { peak.max(usedBytes, ordering: .relaxed) }
        if byteMarks.rises(to: now) { ring() }
        return true
    }

    /// Begins anew to keep the recent peaks. What is taken meanwhile counts for one side of it or the other.
    func resetPeaks() {
        formerPeak.max(peak.exchange(usedBytes, ordering: .relaxed), ordering: .relaxed)
        formerNodePeak.max(nodePeak.exchange(usedNodes, ordering: .relaxed), ordering: .relaxed)
        // What was taken between the look at the use and the exchange would be in neither.
        peak.max(usedBytes, ordering: .relaxed)
        nodePeak.max(usedNodes, ordering: .relaxed)
    }

    /// More was in use than is counted here.
    func notePeak(_ bytes: Int) { peak.max(bytes, ordering: .relaxed) }

    @inline(__always)
    func takeNode() -> Bool {
        guard let now = QuotaLevel.take(1, of: mostNodes, nodes) else { return false }
        if keepsPeak { nodePeak.max(usedNodes, ordering: .relaxed) }
        if nodeMarks.rises(to: now) { ring() }
        return true
    }

    /// Returns what is used then, or nil where that would be too much.
    @inline(__always)
    private static func take(
        _ amount: Int, of limit: borrowing Atomic<Int>, _ used: borrowing Atomic<Int>
    ) -> Int? {
        var seen = used.load(ordering: .relaxed)
        while true {
            // Subtract, so that the test cannot overflow.
            guard amount <= limit.load(ordering: .relaxed) - seen else { return nil }
            let (won, now) = used.weakCompareExchange(
                expected: seen, desired: seen + amount, ordering: .sequentiallyConsistent)
            if won { break }
            seen = now
        }
        // The limit may have been lowered since it was read.
        guard seen + amount <= limit.load(ordering: .sequentiallyConsistent) else {
            used.wrappingSubtract(amount, ordering: .relaxed)
            return nil
        }
        return seen + amount
    }

    /// Use changes by `bytes`, which nobody may refuse: they were taken before, or are given back.
    @inline(__always)
    func change(by bytes: Int) {
        let now = used.wrappingAdd(bytes, ordering: .relaxed).newValue
        if bytes < 0 ? byteMarks.falls(to: now) : byteMarks.rises(to: now) { ring() }
    }

    @inline(__always)
    func giveBackNode() {
        let before = nodes.wrappingSubtract(1, ordering: .relaxed).oldValue
        precondition(before > 0, "more nodes were given back than were taken")
        if nodeMarks.falls(to: before - 1) { ring() }
    }
}

// MARK: - The level of a directory or a user

extension QuotaLevel {
    /// What a quota costs beside what counts in it, in bytes: the objects that stand for it.
    public static let cost = 512

    /// Charges what the level costs, and what is set aside for it, to the ledger above.
    ///
    /// - Throws: as `QuotaLedger.reserve`.
    public func hold(from ledger: QuotaLedger) throws(Errno) {
        let bytes = QuotaLevel.cost + (isSetAside ? limitBytes : 0)
        let reservation = try ledger.reserve(bytes, unguarded: true)
        var charge = Charge(to: ledger)
        reservation.commit(into: &charge, data: 0, metadata: bytes)
        var kept = Optional(charge)
        held.withLock { $0 = kept.take() }
    }

    /// Lends what `hold` has charged; nil where nothing is.
    private func withHeld<Result>(
        _ body: (inout Charge) throws(Errno) -> Result
    ) throws(Errno) -> Result? {
        try held.withLock { (held) throws(Errno) in
            guard var charge = held.take() else { return nil }
            do throws(Errno) {
                let result = try body(&charge)
                held = consume charge
                return result
            } catch {
                held = consume charge
                throw error
            }
        }
    }

    /// What `hold` has charged, in bytes, and to whom; nil where nothing is.
    public var holding: (bytes: Int, ledger: QuotaLedger)? {
        do throws(Errno) {
            return try withHeld { (held) throws(Errno) in (held.bytes, held.ledger) }
        } catch {
            return nil
        }
    }

    /// Sets another limit where the bytes are set aside, and with it how many are.
    ///
    /// Returns whether it was set: not below what is used.
    ///
    /// - Throws: as `QuotaLedger.reserve` where there is no room for more.
    public func setAside(_ bytes: Int) throws(Errno) -> Bool {
        try withHeld { (held) throws(Errno) in
            let more = bytes - limitBytes
            if more > 0 {
                let reservation = try held.ledger.reserve(more, unguarded: true)
                reservation.commit(into: &held, data: 0, metadata: more)
            }
            guard setMaxBytes(bytes, draining: false) else { return false }
            if more < 0 { held.shrink(data: 0, metadata: more) }
            return true
        } ?? false
    }

    /// Has what the level holds charged to another ledger: a level above has come between, or `leaves`.
    ///
    /// - Throws: as `Charge.transfer`.
    public func moveHolding(to ledger: QuotaLedger, leaving level: QuotaLevel? = nil) throws(Errno) {
        _ = try withHeld { (held) throws(Errno) in
            try held.move(nodes: 0, to: ledger, leaving: level)
        }
    }

    /// Moves a charge and its nodes from here, where the bytes were set aside, to `target`, which is the
    /// charge's ledger without this level.
    ///
    /// What is used of them stays used: the levels above are as they were.
    func release(_ charge: inout Charge, nodes: Int, to target: QuotaLedger) {
        held.withLock { held in
            guard var setAside = held.take() else { return }
            // The limit first: nobody may take what is about to go.
            mostBytes.wrappingSubtract(charge.bytes, ordering: .sequentiallyConsistent)
            used.wrappingSubtract(charge.bytes, ordering: .relaxed)
            for _ in 0..<nodes { giveBackNode() }
            charge.move(to: target, paidBy: &setAside)
            held = consume setAside
            wake?()
        }
    }

    /// The quota is gone: gives back what it holds, but for what files without a name still use of it.
    ///
    /// That comes back with the last of them, and none of them may grow.
    public func dissolve() {
        held.withLock { held in
            guard isSetAside, var charge = held.take() else {
                held = nil
                return
            }
            var used = max(1, usedBytes)
            while !setMaxBytes(used, draining: false) { used = max(1, usedBytes) }
            charge.shrink(data: 0, metadata: min(0, used - charge.bytes))
            held = consume charge
        }
    }
}
