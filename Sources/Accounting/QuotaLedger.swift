public import Basics
import Synchronization
import Telemetry

/// Whom a charge is counted against: a level, and the ledger above that must agree.
///
/// A ledger never changes. When a quota comes in between, or goes, its level gets other ledgers, and the
/// charges below move to them one after the other (`Transfer`): levels that are in both count on. So nobody
/// who reserves or gives back ever meets a ledger whose parent is another than a moment ago. Invariant: what
/// a level has in use is the sum of all charges and reservations whose ledgers reach it.
public final class QuotaLedger: Sendable {
    public let level: QuotaLevel
    /// The mount's ledger, or an outer directory's, for a directory's; nil for the mount's own. For that of
    /// what belongs to a user whichever of them it lies in.
    public let parent: QuotaLedger?
    /// Up to where the level's bytes were set aside.
    private let bytes: Account
    private let nodes: Account
    private let mount: MountUse
    /// How many levels there are, this one among them, but for a user's.
    public let depth: Int
    /// The ledger without a user's level: which directory's quota, or the mount's, something is charged to,
    /// whoever owns it.
    public var base: QuotaLedger { level.user == nil ? self : parent ?? self }
    /// What a ledger of a user takes, in bytes, together with its place in `UserLedgers`.
    private static let userCost = 288
    /// The most that a ledger takes in advance. Of bytes so many that a file that is written by 4 KiB takes
    /// some once for 16 of them, and few enough that hardly any limit feels it.
    private static let bytesInAdvance = 128 << 10
    private static let nodesInAdvance = 64

    /// What is counted of the mount as a whole, whatever the level.
    private final class MountUse: Sendable {
        let level: QuotaLevel
        let advances = Advances()
        let data = Atomic<Int>(0)
        let reserved = Atomic<Int>(0)
        let refusals: RefusalCounts
        let nodeErrno: Errno
        let slack = Slack()
        let memoryGuard: MemoryGuard?
        let wall: Wall?
        let faults: FaultPlan?

        init(
            _ level: QuotaLevel, _ refusals: RefusalCounts, _ nodeErrno: Errno, _ memoryGuard: MemoryGuard?,
            _ wall: Wall?, _ faults: FaultPlan?
        ) {
            self.level = level
            self.refusals = refusals
            self.nodeErrno = nodeErrno
            self.memoryGuard = memoryGuard
            self.wall = wall
            self.faults = faults
        }
    }

    /// The mount's ledger.
    ///
    /// - Parameters:
    ///   - limitBytes: in bytes, above 0.
    ///   - nodes: nil where only the bytes bound them.
    ///   - nodeErrno: what the node that is one too many is refused with.
    ///   - memoryGuard: asked before anything grows; nil for no guard.
    ///   - wall: bounds what the kernel stores by itself; nil where it does not.
    ///   - wake: told when use of this level passes a mark, and when its limit changes.
    ///   - faults: what a test lets fail, here and where memory is taken; nil on a mount.
    public init(
        limitBytes: Int, nodes: Int? = nil, refusingNodesWith nodeErrno: Errno = .tooManyOpenFiles,
        refusals: RefusalCounts = RefusalCounts(), guardedBy memoryGuard: MemoryGuard? = nil,
        wall: Wall? = nil, waking wake: (@Sendable () -> Void)? = nil, faults: FaultPlan? = nil
    ) {
        level = QuotaLevel(bytes: limitBytes, nodes: nodes, keepsPeak: true, waking: wake)
        mount = MountUse(level, refusals, nodeErrno, memoryGuard, wall, faults)
        parent = nil
        bytes = Account(level.bytes, of: level, below: nil, holding: 0, in: mount.advances)
        self.nodes = Account(level.nodes, of: level, below: nil, holding: 0, in: mount.advances)
        depth = 1
    }

    /// The ledger of a directory, or of what belongs to a user in one or beside all of them.
    ///
    /// What a user owns may lie in any number of directories with quotas, with a ledger for each, which
    /// nobody may refuse: they count as slack.
    public init(_ level: QuotaLevel, below parent: QuotaLedger) {
        self.level = level
        self.parent = parent
        mount = parent.mount
        bytes = Account(
            level.bytes, of: level, below: level.isSetAside ? nil : parent.bytes,
            holding: QuotaLedger.bytesInAdvance, in: mount.advances)
        nodes = Account(
            level.nodes, of: level, below: parent.nodes, holding: QuotaLedger.nodesInAdvance,
            in: mount.advances)
        level.join(mount.advances)
        precondition(parent.level.user == nil, "a user's level is the innermost")
        depth = parent.depth + (level.user == nil ? 1 : 0)
        if level.user != nil { mount.slack.change(by: QuotaLedger.userCost) }
    }

    deinit {
        bytes.end()
        nodes.end()
        if level.user != nil { mount.slack.change(by: -QuotaLedger.userCost) }
    }

    // MARK: - What there is

    /// The most that this level may use, in bytes; `Int.max` for no limit.
    public var limitBytes: Int { level.limitBytes }
    public var usedBytes: Int { level.usedBytes }
    /// The part of the whole mount's use that is file data; the rest is metadata.
    public var dataBytes: Int { mount.data.load(ordering: .relaxed) }
    /// The most that the whole mount has used.
    public var peakBytes: Int { mount.level.bytes.highest }

    /// The same since `resetPeaks`.
    public var recentPeakBytes: Int { mount.level.bytes.recentHighest }

    public func resetPeaks() { mount.level.resetPeaks() }
    /// The part of the whole mount's use that is set aside for operations in flight.
    public var reservedBytes: Int { mount.reserved.load(ordering: .relaxed) }
    /// Of the whole mount.
    public var slack: Slack { mount.slack }
    /// Bounds what the kernel stores by itself, in the mount as a whole; nil where it does not.
    public var wall: Wall? { mount.wall }
    /// What a test lets fail; nil on a mount.
    public var faults: FaultPlan? { mount.faults }

    /// The lowest limit of all levels, in bytes: no single operation can need more.
    public var leastLimitBytes: Int { bytes.leastLimit }

    /// The least that the levels leave, in bytes; the memory guard is not asked.
    public var freeBytes: Int { bytes.free }

    /// The least that the levels leave, in nodes; `Int.max` where there is no limit.
    public var freeNodes: Int { nodes.free }

    /// Whether what is charged to this ledger counts at `level`: for nodes. Bytes stop where they were set
    /// aside.
    public func reaches(_ level: QuotaLevel) -> Bool { nodes.reaches(level) }

    /// Whether bytes that are charged to this ledger count at `level`.
    public func paysAt(_ level: QuotaLevel) -> Bool { bytes.reaches(level) }

    /// Whether a pool may take `bytes` more of which nothing is charged yet: 0 for what has been reserved.
    ///
    /// Everything that takes memory asks, whole pages too: what is held for nobody lies beside them.
    public func admitsPage(of bytes: Int) -> Bool {
        if mount.level.bytes.taken + slack.bytes + bytes <= mount.level.limitBytes + Slack.allowanceBytes {
            return true
        }
        note(.bytes, at: mount.level, asked: max(bytes, QuotaLedger.pageBytes))
        return false
    }

    /// What may be written now as far as the memory guard is concerned, in bytes.
    public var admittedBytes: Int { mount.memoryGuard?.admittedBytes { use(but: 0) } ?? .max }

    /// Has the memory guard look where its last look is an interval old.
    public func lookAtMemory() {
        mount.memoryGuard?.look { use(but: 0) }
    }

    /// What the whole mount uses and has set aside for operations in flight, but for `own`.
    private func use(but own: Int) -> MemoryGuard.Use {
        MemoryGuard.Use(
            usedBytes: mount.level.bytes.taken - own, inFlightBytes: max(0, reservedBytes - own))
    }

    /// How many accounts of the mount hold something in advance.
    package var advanceCount: Int { mount.advances.count }

    // MARK: - Bytes

    /// Sets `bytes` aside at every level, or changes nothing.
    ///
    /// - Parameters:
    ///   - unguarded: the memory guard is not asked.
    ///   - behindWall: for bytes that are stored behind the wall, which is then not asked.
    /// - Throws: `.noSpace` where the mount's limit, the wall or the guard refuses, `.diskQuotaExceeded`
    ///   where a level below it does.
    public func reserve(
        _ bytes: Int, unguarded: Bool = false, behindWall: Bool = false
    ) throws(Errno) -> Reservation {
        precondition(bytes >= 0)
        if bytes == 0 { return Reservation(0, of: self, behindWall: behindWall) }
        if let faults, faults.strikes(.reservation) { throw refusal(by: level, of: bytes) }
        if let refusing = self.bytes.take(bytes) { throw refusal(by: refusing, of: bytes) }
        mount.reserved.wrappingAdd(bytes, ordering: .relaxed)
        if let memoryGuard = mount.memoryGuard, !unguarded,
            !memoryGuard.admit(bytes, use: { use(but: bytes) })
        {
            settle(bytes, data: 0, metadata: 0)
            let free = min(memoryGuard.leftBytes, bytes - 1)
            mount.refusals.add(RefusalNote(.memoryGuard, asked: bytes, free: free))
            throw .noSpace
        }
        if let wall, !behindWall, !wall.admit(bytes) {
            settle(bytes, data: 0, metadata: 0)
            throw refuseAtWall(bytes)
        }
        return Reservation(bytes, of: self, behindWall: behindWall)
    }

    /// Counts that the wall has refused `bytes`.
    public func refuseAtWall(_ bytes: Int) -> Errno {
        refusal(by: mount.level, of: bytes)
    }

    /// Takes the last refusal that this thread has met out of the counts: nobody will see it.
    public func withdrawRefusal() { mount.refusals.withdrawLast() }

    /// The peak of the whole mount's use that was seen, where more is used than is charged.
    public func notePeak(_ bytes: Int) { mount.level.bytes.notePeak(bytes) }

    private static let pageBytes = 4096

    @inline(never)
    private func refusal(by level: QuotaLevel, of bytes: Int) -> Errno {
        let isMounts = level === mount.level
        note(isMounts ? .bytes : QuotaLedger.kind(of: level), at: level, asked: bytes)
        return isMounts ? .noSpace : .diskQuotaExceeded
    }

    private static func kind(of level: QuotaLevel) -> RefusalKind {
        level.user == nil ? .directory : .user
    }

    /// Counts a refusal of bytes, with the figures of this moment: less was free, whatever was freed since.
    private func note(_ kind: RefusalKind, at level: QuotaLevel, asked: Int) {
        let free = min(max(0, level.limitBytes - level.usedBytes), max(0, asked - 1))
        mount.refusals.add(
            RefusalNote(kind, at: level.number, asked: asked, free: free, limit: level.limitBytes))
    }

    /// A reservation of `bytes` has ended: use has changed by `data` and `metadata`, which may be negative.
    ///
    /// - Parameter behindWall: the wall was not asked for the reservation.
    func settle(_ bytes: Int, data dataDelta: Int, metadata metadataDelta: Int, behindWall: Bool = true) {
        if dataDelta != 0 { mount.data.wrappingAdd(dataDelta, ordering: .relaxed) }
        if bytes != 0 { mount.reserved.wrappingSubtract(bytes, ordering: .relaxed) }
        let change = dataDelta + metadataDelta - bytes
        if change < 0 { self.bytes.giveBack(-change) } else if change > 0 { self.bytes.add(change) }
        wall?.settle(metadataDelta - (behindWall ? 0 : bytes))
    }

    // MARK: - Nodes

    /// Sets one node aside at every level, or changes nothing.
    ///
    /// - Throws: the mount's node-limit errno, `.diskQuotaExceeded` where a level below it refuses.
    public func reserveNode() throws(Errno) -> NodeReservation {
        if let refusing = nodes.take(1) { throw nodeRefusal(by: refusing) }
        return NodeReservation(of: self)
    }

    @inline(never)
    private func nodeRefusal(by level: QuotaLevel) -> Errno {
        let isMounts = level === mount.level
        mount.refusals.add(
            RefusalNote(
                isMounts ? .nodes : QuotaLedger.kind(of: level), at: level.number, asked: 1, free: 0,
                limit: level.limitNodes, countsNodes: true))
        return isMounts ? mount.nodeErrno : .diskQuotaExceeded
    }

    /// A node that had been committed is gone.
    public func giveBackNode() { nodes.giveBack(1) }

    // MARK: - Moving

    /// Takes, at the levels that `source` does not reach, what a charge and its nodes need there; all or
    /// nothing.
    ///
    /// - Throws: `.diskQuotaExceeded` where a level refuses; for what leaves a directory whose bytes were set
    ///   aside, `.noSpace` where the mount's does.
    func takeTransfer(from source: QuotaLedger, bytes: Int, nodes: Int) throws(Errno) {
        if bytes > 0, let refusing = self.bytes.takeMoved(bytes, from: source.bytes) {
            throw refusal(by: refusing, of: bytes)
        }
        if nodes > 0, let refusing = self.nodes.takeMoved(nodes, from: source.nodes) {
            self.bytes.giveBackMoved(bytes, from: source.bytes)
            throw nodeRefusal(by: refusing)
        }
    }

    /// Gives back at the levels that `source` does not reach. Less than no bytes: what moves has grown by
    /// itself meanwhile, which nobody may refuse.
    func giveBackTransfer(from source: QuotaLedger, bytes: Int, nodes: Int) {
        if bytes != 0 { self.bytes.giveBackMoved(bytes, from: source.bytes) }
        if nodes > 0 { self.nodes.giveBackMoved(nodes, from: source.nodes) }
    }
}
