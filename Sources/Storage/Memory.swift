public import Accounting
public import Basics
import CLinux
import Glibc

/// The memory of one mount: pages for the bytes of files, and a heap of blocks for everything smaller.
///
/// Nothing here is charged: whoever takes memory has reserved its cost before, and commits it after. Every
/// call may fail with `.noSpace` where the operating system refuses memory; it has then changed nothing.
/// Locks: rank 3, the pages' and the blocks', never both at once.
///
/// Sendable without the compiler's proof: the addresses never change, and what lies behind them is guarded by
/// the two locks or by the lock of the inode that owns it.
@safe public final class Memory: @unchecked Sendable {
    public let policy: StoragePolicy
    /// Where the bytes of files lie; nil where they lie in the pages here.
    public let tmpfs: PrivateTmpfs?
    private let pages: Lock<PageArena>
    private let blocks: Lock<BlockHeap>
    private let pageBase: UnsafeMutableRawPointer
    private let blockBase: UnsafeMutableRawPointer
    /// Where `BlockHeap` describes its pages. The class of a block's page does not change while the block
    /// lives.
    private let blockPages: UnsafeMutablePointer<BlockHeap.Page>
    /// A range that reads as zeros and costs nothing: it is never written.
    private let zeros: ReservedMemory
    static let zeroBytes = 1 << 20
    /// Which bits of a name's hash count. A test takes fewer, so that names collide.
    let nameHashMask: UInt64
    private let ledger: QuotaLedger
    private var slack: Slack { ledger.slack }
    /// The page behind which a large file may want more.
    private let wanted = Handoff()
    /// From how many pages on a request is one of a large file, which will want as many again.
    private static let largePages = 32

    /// - Parameters:
    ///   - ledger: the mount's; it is told of the slack, and says whether it may grow.
    ///   - addressBytes: how many bytes of addresses to reserve for each of the two arenas.
    ///   - tmpfs: where the bytes of files lie; nil for the pages here.
    ///   - nameHashBits: 0 to 54.
    public init(
        policy: StoragePolicy, ledger: QuotaLedger, addressBytes: Int, tmpfs: PrivateTmpfs? = nil,
        nameHashBits: Int = NameMap.hashBits
    ) throws(Errno) {
        self.tmpfs = tmpfs
        nameHashMask = (1 << UInt64(nameHashBits)) - 1
        let arena = try PageArena(
            bytes: addressBytes, keptBytes: policy.keptFreeBytes, inHugePages: policy.takesHugePages)
        let heap = try BlockHeap(
            bytes: addressBytes, keptBytes: policy.keptFreeBytes / 4, inHugePages: policy.takesHugePages
        ) {
            ledger.admitsPage(of: $0)
        }
        var zeros = try ReservedMemory(bytes: Memory.zeroBytes)
        try zeros.makeUsable(through: Memory.zeroBytes)
        self.policy = policy
        self.ledger = ledger
        unsafe pageBase = arena.address(of: 0)
        unsafe blockBase = heap.address(0)
        unsafe blockPages = heap.page(0)
        pages = Lock(arena, as: .memory)
        blocks = Lock(heap, as: .memory)
        self.zeros = zeros
    }

    /// Where backed files lie: there are none without it.
    var backing: PrivateTmpfs {
        guard let tmpfs else { preconditionFailure("a backed file on memory without a private tmpfs") }
        return tmpfs
    }

    @inline(__always)
    func address(ofPage page: UInt32) -> UnsafeMutableRawPointer {
        unsafe pageBase + Int(page) * PageArena.pageBytes
    }

    @inline(__always)
    func address(ofBlock location: UInt64) -> UnsafeMutableRawPointer {
        unsafe blockBase + Int(location)
    }

    var zeroAddress: UnsafeMutableRawPointer { unsafe zeros.base }

    /// How many bytes the block has room for; 0 for none.
    func capacity(ofBlock location: UInt64) -> Int {
        guard location != 0 else { return 0 }
        return unsafe BlockHeap.capacity(ofBlockIn: blockPages + Int(location >> 12))
    }

    /// What a block of that capacity costs; 0 for none.
    func cost(ofBlock location: UInt64) -> Int {
        location == 0 ? 0 : BlockHeap.cost(capacity(ofBlock: location))
    }

    func allocate(_ bytes: Int) throws(Errno) -> SpareBlock {
        if let faults = ledger.faults, faults.strikes(.block) { throw .noSpace }
        let location = try blocks.withLock { (heap) throws(Errno) in
            let before = heap.slackBytes
            let location = try heap.allocate(bytes)
            slack.change(by: heap.slackBytes - before)
            return location
        }
        return SpareBlock(location, of: self)
    }

    /// A block, or nil where the system refuses memory: for what is only better, not needed.
    func allocateIfPossible(_ bytes: Int) -> UInt64? {
        do {
            return try allocate(bytes).keep()
        } catch {
            ledger.withdrawRefusal()
            return nil
        }
    }

    func free(_ location: UInt64) {
        blocks.withLock { heap in
            let before = heap.slackBytes
            heap.free(location)
            slack.change(by: heap.slackBytes - before)
        }
    }

    /// Takes `count` pages. Where many are fresh, they are populated in one call, which can fail where
    /// touching cannot.
    func takePages(_ count: Int) throws(Errno) -> PageStash {
        var stash = PageStash(of: self)
        guard count == 0 || ledger.admitsPage(of: 0) else { throw .noSpace }
        var end: UInt32 = 0
        while stash.count < count {
            if let faults = ledger.faults, faults.strikes(.pages) { throw .noSpace }
            let missing = count - stash.count
            let run = try takeRun(upTo: missing)
            end = run.first + UInt32(run.count)
            stash.add(run)
        }
        if count >= Memory.largePages { wanted.offer(end) }
        return stash
    }

    /// Takes pages in a row, which are populated without the lock.
    private func takeRun(upTo count: Int, inBlocks: Bool = true) throws(Errno) -> PageRun {
        let run = try pages.withLock { (arena) throws(Errno) in
            try arena.takeRun(upTo: count, inBlocks: inBlocks)
        }
        if populate(run) { return run }
        guard run.isBlocks else { throw .noSpace }
        // There may be memory for what is needed, if not for a whole block.
        return try takeRun(upTo: count, inBlocks: false)
    }

    /// Populates what was taken, and frees what is spare; or, where there is no memory, all of it.
    private func populate(_ run: PageRun) -> Bool {
        guard unsafe PageArena.populate(run, at: address(ofPage: run.first)) else {
            pages.withLock { $0.abandon(run) }
            return false
        }
        if run.spare > 0 { pages.withLock { $0.keepSpare(of: run) } }
        return true
    }

    /// Waits until a large file has grown, and then makes ready what it will want next: those pages are free,
    /// and kept as if they had been freed. Who writes the file makes its own next piece meanwhile.
    ///
    /// For one thread that does nothing else; without it requests populate what they take.
    public func prepare() {
        let end = wanted.take()
        // What nobody could use, or the guard would refuse, is not taken.
        while min(ledger.freeBytes, ledger.admittedBytes) >= ReservedMemory.blockBytes,
            let run = pages.withLock({ $0.takeBlock(behind: end) })
        {
            guard populate(run) else { return }
        }
    }

    func freePages(_ first: UInt32, count: Int) {
        pages.withLock { $0.release(first, count: count) }
    }
}

/// A block that was taken from the heap and has no owner yet: freed on `deinit` unless it is kept.
struct SpareBlock: ~Copyable {
    private let memory: Memory
    private var place: UInt64

    init(_ place: UInt64, of memory: Memory) {
        self.memory = memory
        self.place = place
    }

    var location: UInt64 { place }

    /// Hands the block to its owner.
    consuming func keep() -> UInt64 {
        let kept = place
        place = 0
        return kept
    }

    deinit {
        if place != 0 { memory.free(place) }
    }
}
