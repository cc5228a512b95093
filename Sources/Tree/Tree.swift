public import Accounting
public import Basics
public import Storage
import Synchronization
import Telemetry

/// What a tree is made with.
public struct TreeConfiguration: Sendable {
    public var limits: Limits
    public var storage: StoragePolicy
    /// Permission bits of the root directory.
    public var rootMode: UInt32
    public var rootOwner: UInt32
    public var rootGroup: UInt32
    public var clock: Clock
    /// Whether nodes have POSIX ACLs.
    public var usesACL = false
    /// nil: nothing but the limits refuses.
    public var memoryGuard: MemoryGuard?
    /// Told when use of a level passes a mark, and when a limit changes, from any thread and under its locks:
    /// to be quick about. nil: nobody watches.
    public var wake: (@Sendable () -> Void)?
    /// Whether directories may have quotas: not where the kernel writes to files without asking.
    public var hasQuotas = true
    /// Where the bytes of files lie; nil: in the memory of this process.
    public var tmpfs: PrivateTmpfs?
    /// What the limit may be raised to while the tree lives, in bytes; at least 16 GiB, and the limit.
    public var largestLimitBytes = 0
    /// How many bits of a name's hash count: a test takes fewer, so that names collide.
    public var nameHashBits = NameMap.hashBits
    /// What a test lets fail; nil: nothing.
    public var faults: FaultPlan?

    public init(
        limits: Limits, storage: StoragePolicy = StoragePolicy(), rootMode: UInt32 = 0o1777,
        rootOwner: UInt32 = 0,
        rootGroup: UInt32 = 0, clock: Clock = .system
    ) {
        self.limits = limits
        self.storage = storage
        self.rootMode = rootMode
        self.rootOwner = rootOwner
        self.rootGroup = rootGroup
        self.clock = clock
    }
}

/// The filesystem: names, nodes and bytes under one limit, with the semantics of POSIX and without FUSE.
///
/// Every operation is one call, may be made from any thread, and changes nothing when it throws: what it
/// needs is reserved before the first change. Permissions are the kernel's business; it asks only for what is
/// permitted.
///
/// Locks, in the order in which they may be taken: `namespace`, then one inode's, then those of `Memory`.
/// Names and link counts change only under the first; no data is copied under it.
public final class Tree: Sendable {
    let configuration: TreeConfiguration
    let memory: Memory
    let ledger: QuotaLedger
    let refusals: RefusalCounts
    let table: InodeTable
    let users = UserLedgers()
    /// Rank 1.
    let namespace: Lock<InodeTable.Allocation>
    /// What nodes without a name keep, in bytes.
    let orphanBytes = Atomic<Int>(0)
    /// What the limit may be raised to, in bytes: there are addresses for so much.
    private let largestLimitBytes: Int
    /// Nodes that are out of the table, and whose memory is not yet given back.
    private let ending = Atomic<Int>(0)
    private let ended = Atomic<Int>(0)

    /// The longest that a file can be: the kernel's own bound for offsets.
    static let largestFileBytes = Int64.max

    /// Throws `.noSpace` where the limit does not hold even the root, or no addresses are to be had.
    public init(_ configuration: TreeConfiguration) throws(Errno) {
        self.configuration = configuration
        refusals = RefusalCounts()
        let wall = configuration.tmpfs.map { tmpfs in
            Wall(limitBytes: configuration.limits.bytes) {
                tmpfs.resize(to: $0)
            } used: {
                tmpfs.usedBytes
            }
        }
        ledger = QuotaLedger(
            limitBytes: configuration.limits.bytes, nodes: configuration.limits.nodes,
            refusingNodesWith: configuration.limits.nodeLimitErrno, refusals: refusals,
            guardedBy: configuration.memoryGuard, wall: wall, waking: configuration.wake,
            faults: configuration.faults)
        // No address would name what is above, not even with a row of free ones for each use.
        largestLimitBytes = min(
            max(configuration.limits.bytes, configuration.largestLimitBytes, 1 << 34), 1 << 44)
        let addressBytes = Tree.addressBytes(for: largestLimitBytes)
        memory = try Memory(
            policy: configuration.storage, ledger: ledger, addressBytes: addressBytes,
            tmpfs: configuration.tmpfs, nameHashBits: configuration.nameHashBits)
        var allocation = try InodeTable.Allocation(
            addressBytes: addressBytes, inHugePages: configuration.storage.takesHugePages, ledger: ledger)
        let table = InodeTable(allocation)
        let root = try Tree.makeRoot(configuration, memory, ledger, table, &allocation)
        precondition(root == .root, "the first node is not the root")
        self.table = table
        namespace = Lock(allocation, as: .namespace)
    }

    deinit {
        namespace.withLock { allocation in table.endCharges(allocation) }
    }

    /// Addresses cost nothing: four times the limit, so that scattered use always finds a row of free ones.
    ///
    /// Three ranges of that size are reserved. Where the address space is limited they are a share of what
    /// is left, so that threads and the runtime find room too; what does not fit into them is refused.
    private static func addressBytes(for largestLimitBytes: Int) -> Int {
        let wanted = min(largestLimitBytes * 4, 1 << 44)
        let obtainable = ReservedMemory.obtainable(upTo: wanted * 4)
        return obtainable == wanted * 4 ? wanted : obtainable / 6
    }

    private static func makeRoot(
        _ configuration: TreeConfiguration, _ memory: Memory, _ ledger: QuotaLedger,
        _ table: InodeTable, _ allocation: inout InodeTable.Allocation
    ) throws(Errno) -> NodeID {
        let node = try ledger.reserveNode()
        // A root there is also where memory is short: what is short now may not be later.
        let reservation = try ledger.reserve(InodeTable.slotCost, unguarded: true)
        var charge = Charge(to: ledger)
        reservation.commit(into: &charge, data: 0, metadata: InodeTable.slotCost)
        let now = Timestamp32(configuration.clock.now())
        let state = Inode.State(
            links: 2, size: 0, body: .directory(Inode.Directory(parent: .root)),
            mode: FileKind.directory.rawValue | configuration.rootMode & 0o7777,
            owner: configuration.rootOwner,
            group: configuration.rootGroup, accessed: now, modified: now, changed: now, charge: charge)
        let root = try table.add(state, memory, &allocation)
        // The kernel never forgets the root.
        try table.addLookup(root, allocation)
        node.commit()
        return root
    }

    /// What the tree holds and what it has refused.
    public var usage: Usage {
        var usage = Usage()
        usage.limitBytes = ledger.limitBytes
        usage.chargedBytes = ledger.usedBytes
        // Memory that is held for nobody is used all the same, above a small allowance.
        // While a limit drains more may be used than it says.
        let stored = storedBytes
        let used = stored.total
        usage.usedBytes = max(used, min(ledger.limitBytes, used + ledger.slack.excessBytes))
        usage.dataBytes = stored.data
        usage.metadataBytes = usage.usedBytes - usage.dataBytes
        usage.peakBytes = max(usage.usedBytes, ledger.peakBytes)
        usage.recentPeakBytes = max(usage.usedBytes, ledger.recentPeakBytes)
        usage.reservedBytes = ledger.reservedBytes
        usage.maxNodes = ledger.level.maxNodes
        usage.nodes = ledger.level.usedNodes
        usage.peakNodes = ledger.level.peakNodes
        usage.recentPeakNodes = ledger.level.recentPeakNodes
        usage.openUnlinkedBytes = orphanBytes.load(ordering: .relaxed)
        usage.refusals.bytes = refusals.bytes.value
        usage.refusals.nodes = refusals.nodes.value
        usage.refusals.directory = refusals.directory.value
        usage.refusals.user = refusals.user.value
        usage.refusals.guardRefusals = refusals.memoryGuard.value
        usage.refusals.storage = refusals.storage.value
        usage.refusals.writeback = refusals.writeback.value
        return usage
    }

    /// What is in use, in bytes: what is charged, or what the kernel has stored by itself, if that is more.
    private var storedBytes: (total: Int, data: Int) {
        guard let wall = ledger.wall else { return (ledger.usedBytes, ledger.dataBytes) }
        let metadata = wall.metadataBytes
        let data = max(wall.usedBytes, ledger.dataBytes)
        let charged = ledger.usedBytes
        // The two were read one after the other: between them one may have taken what the other gave up.
        let total = max(charged, min(metadata + data, max(ledger.limitBytes, charged)))
        ledger.notePeak(total)
        return (total, min(data, total))
    }

    /// Keeps what the kernel may store by itself at what there is, as memory is short, or lets it grow again.
    public func holdWall(_ isHeld: Bool) {
        ledger.wall?.hold(isHeld)
    }

    /// Waits until a large file has grown, and makes ready the memory that it will want next: for one thread
    /// that does nothing else.
    public func prepareMemory() {
        memory.prepare()
    }

    /// Has the memory guard look where its last look is an interval old, so that what it says is of now.
    public func lookAtMemory() {
        ledger.lookAtMemory()
    }

    /// Why limits were not changed.
    public enum ResizeRefusal: Error, Sendable, Hashable {
        case bytesBelowUse(usedBytes: Int)
        case nodesBelowUse(usedNodes: Int)
        case bytesBeyondAddresses(largestBytes: Int)
    }

    /// Changes the limits of the living tree, both or none; nil leaves one as it is.
    ///
    /// Throws where one would fall below what is in use, unless `draining`: nothing grows then until use has
    /// fallen.
    public func setLimits(bytes: Int?, nodes: Int?, draining: Bool) throws(ResizeRefusal) {
        let oldBytes = ledger.limitBytes
        if let bytes, bytes > max(oldBytes, largestLimitBytes) {
            throw .bytesBeyondAddresses(largestBytes: largestLimitBytes)
        }
        if let bytes, !setLimit(bytes, draining: draining) {
            throw .bytesBelowUse(usedBytes: storedBytes.total)
        }
        if let nodes, !ledger.level.setMaxNodes(nodes, draining: draining) {
            _ = setLimit(oldBytes, draining: true)
            throw .nodesBelowUse(usedNodes: ledger.level.usedNodes)
        }
    }

    private func setLimit(_ bytes: Int, draining: Bool) -> Bool {
        let before = ledger.limitBytes
        guard ledger.level.setMaxBytes(bytes, draining: draining) else { return false }
        if let wall = ledger.wall, !wall.setLimit(bytes, draining: draining) {
            _ = ledger.level.setMaxBytes(before, draining: true)
            return false
        }
        return true
    }

    /// Runs `change` on a node's state, and keeps the count of bytes without a name right.
    func change<Result>(
        _ node: NodeID, as rank: LockRank = .inode,
        _ change: (inout Inode.State) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        try table.withState(node, as: rank) { (state) throws(Errno) in
            let before = state.charge.bytes
            let isOrphan = state.links == 0
            // Also where it throws: what the kernel stored by itself was seen all the same.
            defer {
                if isOrphan { orphanBytes.wrappingAdd(state.charge.bytes - before, ordering: .relaxed) }
            }
            return try change(&state)
        }
    }

    /// Ends an inode that was taken out of the table. Outside of the namespace's lock: a large file takes a
    /// while.
    func end(_ inode: consuming Inode?) {
        guard let inode else { return }
        guard inode.state.links == 0 else {
            // It was made by what then was refused, and has never been seen: nobody waits for it.
            let ledger = inode.state.charge.ledger
            free(inode)
            return ledger.giveBackNode()
        }
        ending.wrappingAdd(1, ordering: .relaxed)
        // It counts as there until its bytes are free: whoever needs them waits for that.
        let orphaned = inode.state.charge.bytes
        let ledger = inode.state.charge.ledger
        free(inode)
        orphanBytes.wrappingSubtract(orphaned, ordering: .relaxed)
        ledger.giveBackNode()
        ended.wrappingAdd(1, ordering: .releasing)
        ending.wrappingSubtract(1, ordering: .releasing)
    }

    /// Its charge ends with it.
    private func free(_ inode: consuming Inode) {
        inode.state.free(in: memory)
    }

    /// Whether a thread is giving the memory of such a node back at this moment.
    public var isEndingNodes: Bool { ending.load(ordering: .acquiring) > 0 }

    /// How many nodes that had lost their names have ended since the start.
    public var endedNodes: Int { ended.load(ordering: .acquiring) }

    /// Whether there are nodes without a name, which end when the kernel forgets them.
    public var hasOrphans: Bool { orphanBytes.load(ordering: .relaxed) > 0 }

    /// Whether `error` may be one of the limits' refusals.
    public func isRefusal(_ error: Errno) -> Bool {
        error == .noSpace || error == .diskQuotaExceeded || error == configuration.limits.nodeLimitErrno
    }

    /// A refusal met the kernel's write-back, not a program: it counts as a lost page and not as its cause.
    ///
    /// - Parameter note: what this thread has noted of it; nil where that is nothing.
    public func countLostPage(insteadOf note: RefusalNote?) {
        note?.leave()
        refusals.withdrawLast()
        refusals.writeback.add()
    }

    /// Takes the last refusal that this thread has met out of the counts: the operation is tried again, and
    /// nobody has seen it fail.
    public func withdrawRefusal() { refusals.withdrawLast() }
}
