import Accounting
import Basics
import Storage
import Synchronization

/// The inodes, each in a slot that never moves: an ID is an index into it and a generation that guards reuse.
///
/// Finding an inode is two loads and a comparison, without a lock. Slots are taken and freed through
/// `Namespace`, under its lock. A group of 512 free slots gives its memory back. The kernel promises not to
/// use an ID after its last forget; should one be used all the same, its generation does not fit, and the
/// answer is ESTALE.
///
/// Sendable without the compiler's proof: the address never changes, and each slot's content has its own
/// lock.
@safe final class InodeTable: @unchecked Sendable {
    /// What a node's slot costs, in bytes, with its bit in the map of free slots.
    static let slotCost = MemoryLayout<Inode>.stride + 1
    /// So many that a group is of whole pages, whatever an inode's size is: that is a multiple of 8.
    private static let groupSlots = 512
    private static let groupBytes = groupSlots * MemoryLayout<Inode>.stride

    private let base: UnsafeMutablePointer<Inode>
    /// Slots below this one are usable memory.
    private let usable = Atomic<Int>(0)

    /// The part of the table that the namespace's lock guards: which slots are free, and the memory they lie
    /// in.
    struct Allocation: ~Copyable {
        fileprivate var memory: ReservedMemory
        fileprivate var taken: FreeMap
        fileprivate var nextNumber: UInt64 = 1
        /// Slots in use in each group that has memory; groups without have none.
        fileprivate var groupUse: ReservedMemory
        private let ledger: QuotaLedger
        /// Blocks of memory before this one were taken, in huge pages; nil where none are. The first is not,
        /// so that a small mount stays small.
        private var nextBlock: Int?
        /// Not of the table, but guarded by the same lock.
        var quotas = Quotas()

        /// A table's worth of free slots in an address range of its own. The mount's ledger is told of slots
        /// that are free but have memory, and says whether a group more may have it.
        init(addressBytes: Int, inHugePages: Bool, ledger: QuotaLedger) throws(Errno) {
            let memory = try ReservedMemory(bytes: addressBytes, inHugePages: inHugePages)
            let capacity = min(memory.reservedBytes / MemoryLayout<Inode>.stride, Int(UInt32.max))
            var taken = try FreeMap(capacity: capacity)
            // Index 0 is never used: the root has index 1.
            try taken.take(0..<1)
            groupUse = try ReservedMemory(bytes: (capacity / InodeTable.groupSlots + 1) * 2)
            nextBlock = inHugePages ? 1 : nil
            self.memory = memory
            self.taken = taken
            self.ledger = ledger
        }

        fileprivate func use(of index: Int) -> UnsafeMutablePointer<UInt16> {
            unsafe groupUse.base.assumingMemoryBound(to: UInt16.self) + index / InodeTable.groupSlots
        }

        fileprivate mutating func takeSlot() throws(Errno) -> Int {
            let range = try taken.takeRun(upTo: 1)
            do throws(Errno) {
                if let faults = ledger.faults, faults.strikes(.slot) { throw .noSpace }
                try memory.makeUsable(through: range.upperBound * MemoryLayout<Inode>.stride)
                try groupUse.makeUsable(through: (range.lowerBound / InodeTable.groupSlots + 1) * 2)
                let isFirst = unsafe use(of: range.lowerBound).pointee == 0
                guard !isFirst || ledger.admitsPage(of: InodeTable.groupBytes) else { throw .noSpace }
                if isFirst {
                    ledger.slack.change(by: InodeTable.groupBytes)
                    populate(through: (range.lowerBound / InodeTable.groupSlots + 1) * InodeTable.groupBytes)
                }
            } catch {
                taken.release(range)
                throw error
            }
            unsafe use(of: range.lowerBound).pointee += 1
            ledger.slack.change(by: -MemoryLayout<Inode>.stride)
            return range.lowerBound
        }

        /// Populates the blocks that the first `bytes` bytes reach into, once each.
        private mutating func populate(through bytes: Int) {
            while let block = nextBlock, block * ReservedMemory.blockBytes < bytes {
                // Where it fails, the slots are touched one by one.
                nextBlock = memory.populate(block) ? block + 1 : nil
            }
        }

        /// Frees a slot; a group without a node gives its memory back.
        fileprivate mutating func release(_ index: Int) {
            taken.release(index..<index + 1)
            ledger.slack.change(by: MemoryLayout<Inode>.stride)
            unsafe use(of: index).pointee -= 1
            guard unsafe use(of: index).pointee == 0 else { return }
            let group = index / InodeTable.groupSlots
            memory.giveBack(from: group * InodeTable.groupBytes, bytes: InodeTable.groupBytes)
            ledger.slack.change(by: -InodeTable.groupBytes)
        }
    }

    init(_ allocation: borrowing Allocation) {
        precondition(
            InodeTable.groupBytes % ReservedMemory.operatingSystemPageBytes == 0, "a group shares a page")
        unsafe base = allocation.memory.base.assumingMemoryBound(to: Inode.self)
    }

    /// Puts a new inode into a free slot and returns its ID.
    ///
    /// Throws `.noSpace` where there is no memory for a slot; what the state keeps has then been freed.
    func add(_ state: consuming Inode.State, _ memory: Memory, _ allocation: inout Allocation) throws(Errno)
        -> NodeID
    {
        let index: Int
        do throws(Errno) {
            index = try allocation.takeSlot()
        } catch {
            state.free(in: memory)
            throw error
        }
        if index >= usable.load(ordering: .relaxed) { usable.store(index + 1, ordering: .releasing) }
        let number = allocation.nextNumber
        allocation.nextNumber += 1
        let slot = unsafe base + index
        unsafe slot.initialize(to: Inode(number: number, state: state))
        let isLast = unsafe withUnsafePointer(to: slot.pointee.state) {
            unsafe $0 == InodeTable.state(in: slot)
        }
        assert(isLast, "the state is not the last field of an inode")
        return NodeID(index: UInt32(index), number: number)
    }

    /// Takes an inode out of its slot, which is free from then on.
    func remove(_ node: NodeID, _ allocation: inout Allocation) -> Inode {
        let index = Int(node.index)
        let slot = unsafe base + index
        let inode = unsafe slot.move()
        // No generation fits the number 0.
        unsafe UnsafeMutableRawPointer(slot).storeBytes(of: 0, as: UInt64.self)
        allocation.release(index)
        return inode
    }

    private func slot(_ node: NodeID) throws(Errno) -> UnsafeMutablePointer<Inode> {
        let index = Int(node.index)
        guard index > 0, index < usable.load(ordering: .acquiring) else { throw .staleNFSFileHandle }
        let slot = unsafe base + index
        let number = unsafe slot.pointee.number
        guard number != 0, NodeID(index: node.index, number: number) == node else {
            throw .staleNFSFileHandle
        }
        return unsafe slot
    }

    /// The address of what an inode's lock guards. To lend `slot.pointee.state` to be changed would count as
    /// an access to the whole inode, and what is beside the state has no lock, or another.
    @inline(__always)
    private static func state(in slot: UnsafeMutablePointer<Inode>) -> UnsafeMutablePointer<Inode.State> {
        // The last of the fields ends where the inode does; key paths know no noncopyable types.
        let offset = MemoryLayout<Inode>.size - MemoryLayout<Inode.State>.size
        return unsafe (UnsafeMutableRawPointer(slot) + offset).assumingMemoryBound(to: Inode.State.self)
    }

    /// Whether the ID names a node.
    func contains(_ node: NodeID) -> Bool {
        do {
            _ = try unsafe slot(node)
            return true
        } catch {
            return false
        }
    }

    /// Runs `body` with a node's state while its lock is held. Throws `.staleNFSFileHandle` for an ID that
    /// names nothing.
    func withState<Result>(
        _ node: NodeID, as rank: LockRank = .inode, _ body: (inout Inode.State) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        let slot = try unsafe slot(node)
        unsafe slot.pointee.lock.lock(as: rank)
        defer { unsafe slot.pointee.lock.unlock(as: rank) }
        return try unsafe body(&InodeTable.state(in: slot).pointee)
    }

    /// A node's `st_ino`.
    func number(of node: NodeID) throws(Errno) -> UInt64 {
        try unsafe slot(node).pointee.number
    }

    /// Runs `body` with a state whose names are read: the caller holds the namespace's lock instead of the
    /// inode's.
    func withNamesHeld<Result>(
        _ node: NodeID, _ allocation: borrowing Allocation,
        _ body: (borrowing Inode.State) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        let slot = try unsafe slot(node)
        return try unsafe body(slot.pointee.state)
    }

    /// Raises a node's lookup count by one. The caller holds the namespace's lock.
    func addLookup(_ node: NodeID, _ allocation: borrowing Allocation) throws(Errno) {
        let slot = try unsafe slot(node)
        // Not `+=`, which would count as an access to the whole inode.
        unsafe slot.pointee.lookups = slot.pointee.lookups + 1
    }

    /// Lowers a node's lookup count, not below 0, and returns it. The caller holds the namespace's lock.
    func dropLookups(_ node: NodeID, _ count: UInt64, _ allocation: borrowing Allocation) throws(Errno)
        -> UInt64
    {
        let slot = try unsafe slot(node)
        let left = unsafe slot.pointee.lookups - min(count, slot.pointee.lookups)
        unsafe slot.pointee.lookups = left
        return left
    }

    /// The node in a slot that is surely taken, since somebody holds it there.
    func node(at index: UInt32) -> NodeID {
        unsafe NodeID(index: index, number: base[Int(index)].number)
    }

    /// The node in the first slot from `index` on that has one, and the slot behind it; nil behind the last.
    ///
    /// Looks at `steps` slots or groups of slots at the most, and then returns no node.
    func next(
        from index: Int, steps: Int, _ allocation: borrowing Allocation
    ) -> (node: NodeID?, index: Int)? {
        let end = usable.load(ordering: .relaxed)
        var index = max(1, index)
        for _ in 0..<steps where index < end {
            if unsafe allocation.use(of: index).pointee == 0 {
                // No memory is touched for a group that has none.
                index = (index / InodeTable.groupSlots + 1) * InodeTable.groupSlots
            } else if allocation.taken.isTaken(index) {
                return unsafe (NodeID(index: UInt32(index), number: base[index].number), index + 1)
            } else {
                index += 1
            }
        }
        return index < end ? (nil, index) : nil
    }

    /// Ends the charges of all nodes, together with the tree: they hold the ledger. All else that a node has
    /// lies in memory that goes back as a whole.
    func endCharges(_ allocation: borrowing Allocation) {
        for index in 1..<max(1, usable.load(ordering: .relaxed)) {
            guard allocation.taken.isTaken(index) else { continue }
            let state = unsafe InodeTable.state(in: base + index)
            unsafe withUnsafeMutablePointer(to: &state.pointee.charge) { charge in
                _ = unsafe charge.deinitialize(count: 1)
            }
        }
    }

    /// The IDs of all nodes, for checks. The caller holds the namespace's lock.
    func allNodes(_ allocation: borrowing Allocation) -> [NodeID] {
        var nodes: [NodeID] = []
        for index in 1..<max(1, usable.load(ordering: .relaxed)) {
            guard allocation.taken.isTaken(index) else { continue }
            unsafe nodes.append(NodeID(index: UInt32(index), number: base[index].number))
        }
        return nodes
    }
}
