public import Accounting
public import Basics

/// The bytes of one file: pages of 4 KiB found through an index, and a shorter last piece in a block of its
/// own size.
///
/// Both storage kinds share this form, so that promotion is a change of mind and not of memory:
/// `isSequential` says what is permitted, and how the index is charged. A page that is not there is a hole
/// and reads as zeros. Invariants: bytes behind the file's size, in a page or in the fragment, are zero. At
/// most one page is a fragment; the page it stands for has no entry in the index. The charge of the file
/// holds exactly `cost`. Not safe by itself: the lock of the inode guards it.
public struct PagedContents: ~Copyable {
    /// What memory costs, by use, in bytes.
    struct Cost: Equatable {
        var data = 0
        var metadata = 0
        var total: Int { data + metadata }
    }

    /// The index: a tree with 1024 entries a node, whose root is as large as it must be. 0: no page yet.
    var root: UInt64 = 0
    /// The block that holds the fragment; 0: none.
    var fragment: UInt64 = 0
    var fragmentPage: UInt32 = 0
    var pageCount: UInt32 = 0
    /// Nodes of the index below the root, a page each.
    var nodeCount: UInt32 = 0
    /// Levels of the index below the root.
    var height: UInt8 = 0
    public internal(set) var isSequential: Bool
    /// Hole pages that the kernel holds in its cache, where a mapping may make them dirty without our
    /// knowing.
    var cachedHoles = CachedHoles()

    public init(_ policy: StoragePolicy) {
        isSequential = policy.kind != .randomAccess
    }

    deinit {
        assert(root == 0 && fragment == 0, "the contents of a file were dropped instead of freed")
    }

    /// Memory held for data, in bytes: what `st_blocks` tells.
    public func dataBytes(in memory: Memory) -> Int {
        Int(pageCount) * PageArena.pageBytes + memory.capacity(ofBlock: fragment)
    }

    /// What the charge of the file holds for its contents.
    func cost(in memory: Memory) -> Cost {
        let fragmentBytes = memory.capacity(ofBlock: fragment)
        return PagedContents.cost(
            pages: Int(pageCount), fragmentBytes: fragmentBytes, nodes: Int(nodeCount),
            rootBytes: memory.capacity(ofBlock: root), isSequential: isSequential, memory.policy)
    }

    /// The size of a sequential file's chunk, in bytes. The charge for the chunks covers the index.
    static let chunkBytes = 64 << 10

    static func cost(
        pages: Int, fragmentBytes: Int, nodes: Int, rootBytes: Int, isSequential: Bool,
        _ policy: StoragePolicy
    ) -> Cost {
        let data = pages * PageArena.pageBytes + fragmentBytes
        var index = nodes * PageArena.pageBytes
        if rootBytes > 0 { index += BlockHeap.cost(rootBytes) }
        if isSequential {
            index = max(index, (data + chunkBytes - 1) / chunkBytes * policy.chunkOverheadBytes)
        }
        let fragmentLoss = fragmentBytes > 0 ? BlockHeap.cost(fragmentBytes) - fragmentBytes : 0
        return Cost(data: data, metadata: index + fragmentLoss)
    }

    /// How long a new file may be, in bytes, so that it fits into `bytes` with its index, its node and its
    /// name.
    static func largestBytes(in bytes: Int, _ policy: StoragePolicy) -> Int {
        // For each chunk the entries of an index, and a few for the levels above; and of each level a page
        // that is not full.
        let entries = chunkBytes / PageArena.pageBytes + 2
        let indexBytes = max(policy.chunkOverheadBytes, entries * 4)
        let left = max(0, bytes - 5 * PageArena.pageBytes)
        return left - left / (chunkBytes + indexBytes) * indexBytes - min(left, indexBytes)
    }

    /// Whether an operation that a sequential file cannot do is permitted by promotion.
    ///
    /// Throws `.notSupportedOnSocket` (EOPNOTSUPP) where the storage kind or the promotion limit forbids it.
    func checkPromotion(size: Int, _ policy: StoragePolicy) throws(Errno) {
        guard isSequential else { return }
        guard policy.kind != .sequential, size <= policy.promotionLimitBytes ?? .max else {
            throw .notSupportedOnSocket
        }
    }

    /// Promotes the file to random access. The charge cannot grow by it.
    mutating func promote(in memory: Memory, charge: inout Charge) {
        guard isSequential else { return }
        let before = cost(in: memory)
        isSequential = false
        let after = cost(in: memory)
        charge.shrink(data: after.data - before.data, metadata: after.metadata - before.metadata)
    }

    /// Writes all of `bytes` at `offset` of a file of `size` bytes, or throws and changes nothing.
    ///
    /// - Throws: `.noSpace` or `.diskQuotaExceeded` where the growth does not fit; `.notSupportedOnSocket`
    ///   where the storage kind forbids the write. A write into what is there already needs nothing and
    ///   cannot fail.
    public mutating func write(
        _ bytes: RawSpan, at offset: Int, size: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        let range = offset..<offset + bytes.byteCount
        var promotes = false
        if isSequential {
            if memory.policy.kind == .sequential, offset != size { throw .notSupportedOnSocket }
            if offset > size {
                try checkPromotion(size: size, memory.policy)
                promotes = true
            }
        }
        guard !range.isEmpty else { return }
        try materialize(
            range, size: size, promoting: promotes, overwriting: true, in: memory, charge: &charge)
        copyIn(bytes, at: offset, memory)
    }

    /// Makes the memory for `range` be there, as fallocate(2) does; new bytes read as zeros.
    public mutating func allocate(
        _ range: Range<Int>, size: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try checkPromotion(size: size, memory.policy)
        try materialize(range, size: size, promoting: true, overwriting: false, in: memory, charge: &charge)
    }

    /// Makes `range` read as zeros and be there.
    public mutating func zero(
        _ range: Range<Int>, size: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try allocate(range, size: size, in: memory, charge: &charge)
        erase(range, in: memory)
    }

    /// Permits the file to grow to `newSize` by a hole. Throws `.notSupportedOnSocket` where its kind forbids
    /// it.
    public mutating func extend(
        from size: Int, to newSize: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try checkPromotion(size: size, memory.policy)
        promote(in: memory, charge: &charge)
    }

    /// Frees what lies behind `newSize`, which is at most `size`.
    public mutating func truncate(to newSize: Int, in memory: Memory, charge: inout Charge) {
        let before = cost(in: memory)
        removePages(PagedContents.pagesCovering(newSize)..<Int.max, in: memory)
        cachedHoles.remove(from: PagedContents.pagesCovering(newSize))
        if newSize % PageArena.pageBytes != 0 {
            erase(newSize..<Int.max, in: memory)
            trimFragment(to: newSize, in: memory)
        }
        let after = cost(in: memory)
        charge.shrink(data: after.data - before.data, metadata: after.metadata - before.metadata)
    }

    /// Frees the whole pages of `range` and zeroes the parts of pages at its ends.
    public mutating func punch(
        _ range: Range<Int>, size: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try checkPromotion(size: size, memory.policy)
        promote(in: memory, charge: &charge)
        let before = cost(in: memory)
        erase(range, in: memory)
        let first = PagedContents.pagesCovering(range.lowerBound)
        // A last page that has no byte outside of the hole goes too.
        let end = range.upperBound
        let last = end >= size ? PagedContents.pagesCovering(end) : end / PageArena.pageBytes
        if first < last { removePages(first..<last, in: memory) }
        let after = cost(in: memory)
        charge.shrink(data: after.data - before.data, metadata: after.metadata - before.metadata)
    }

    /// How many pages the first `bytes` bytes reach into.
    private static func pagesCovering(_ bytes: Int) -> Int {
        bytes / PageArena.pageBytes + (bytes % PageArena.pageBytes == 0 ? 0 : 1)
    }

    /// Frees everything. Must be called before the contents are dropped.
    public mutating func free(in memory: Memory, charge: inout Charge) {
        truncate(to: 0, in: memory, charge: &charge)
    }
}
