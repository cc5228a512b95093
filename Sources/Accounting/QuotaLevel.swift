public import Basics
import Synchronization

/// A limit of bytes and one of nodes, and what is in use of them: the mount's, a directory's, or a user's.
///
/// Files, directories, symlinks, devices, pipes and sockets count one node each. What is in use is told
/// exactly: what accounts hold in advance is given back first (`Account`), for which a leaf lock is taken.
public final class QuotaLevel: Sendable {
    private static let levels = Atomic<UInt64>(0)
    /// Never used twice in this process; above 0.
    public let number: UInt64
    let bytes: Gauge
    let nodes: Gauge
    /// Of the mount; none where nothing is taken in advance: at the mount's level.
    private let advances = AtomicLazyReference<Advances>()
    /// Called when use has passed a mark, and when a limit was changed; nil where nobody watches. From any
    /// thread, also one that holds locks of all ranks: to be quick about, and without a lock.
    public let wake: (@Sendable () -> Void)?
    /// Whether the bytes of the limit were set aside from the level above, which is then not asked for each.
    public let isSetAside: Bool
    /// Whose limit it is, by the number of the user; nil for the mount's and a directory's.
    public let user: UInt32?
    /// What a directory's or a user's level costs itself, and what was set aside for it, charged to the
    /// ledger above. It is given back with the level at the latest. Rank 4.
    private let held = Lock<Charge?>(nil, as: .quota)

    /// - Parameters:
    ///   - bytes: above 0; nil for no limit.
    ///   - nodes: nil for no limit.
    ///   - user: whose limit it is; nil for the mount's and a directory's.
    ///   - keepsPeak: the mount's level does; no other.
    ///   - wake: told when use passes a mark.
    public init(
        bytes: Int?, nodes: Int? = nil, isSetAside: Bool = false, of user: UInt32? = nil,
        keepsPeak: Bool = false, waking wake: (@Sendable () -> Void)? = nil
    ) {
        self.wake = wake
        precondition(bytes ?? 1 > 0)
        number = QuotaLevel.levels.wrappingAdd(1, ordering: .relaxed).newValue
        self.bytes = Gauge(limit: bytes, keepsPeak: keepsPeak)
        self.nodes = Gauge(limit: nodes, keepsPeak: keepsPeak)
        self.isSetAside = isSetAside
        self.user = user
    }

    /// A ledger of this level has come to be.
    func join(_ advances: Advances) { _ = self.advances.storeIfNil(advances) }

    /// Runs `body` while nothing is held in advance. It may take no lock.
    func exactly<Result>(_ body: () -> Result) -> Result {
        guard let advances = advances.load() else { return body() }
        return advances.withNone(body)
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

    var limitBytes: Int { bytes.most }
    var limitNodes: Int { nodes.most }
    public var usedBytes: Int { exactly { bytes.taken } }
    public var usedNodes: Int { exactly { nodes.taken } }

    /// The highest `usedNodes` there has been: for the mount's level.
    public var peakNodes: Int { nodes.highest }
    /// The same since `resetPeaks`.
    public var recentPeakNodes: Int { nodes.recentHighest }

    /// Begins anew to keep the recent peaks.
    func resetPeaks() {
        exactly {
            bytes.resetPeak()
            nodes.resetPeak()
        }
    }

    /// Sets the limit while it is in use; nil for none.
    ///
    /// Below what is used the limit is set only where `draining`: nothing grows then until use has fallen
    /// below it. Returns whether it was set.
    public func setMaxBytes(_ bytes: Int?, draining: Bool) -> Bool {
        precondition(bytes ?? 1 > 0)
        defer { wake?() }
        return exactly { self.bytes.setLimit(bytes, draining: draining) }
    }

    /// The same for the limit of nodes.
    public func setMaxNodes(_ nodes: Int?, draining: Bool) -> Bool {
        defer { wake?() }
        return exactly { self.nodes.setLimit(nodes, draining: draining) }
    }
}

// MARK: - The level of a directory or a user

extension QuotaLevel {
    /// What a quota costs beside what counts in it, in bytes: the objects that stand for it.
    public static let cost = 640

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
            bytes.remove(charge.bytes)
            _ = self.nodes.giveBack(nodes)
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
