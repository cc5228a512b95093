import Accounting
import Basics
import Glibc

/// How a file grows: what a range lacks is counted, paid for, taken, and only then put in place.
extension PagedContents {
    /// What must be taken before a range of bytes is all there.
    private struct Growth {
        var dataPages = 0
        var nodePages = 0
        var height = 0
        /// Bytes the root must have room for; 0 where it is large enough.
        var rootBytes = 0
        /// Bytes the fragment must have room for; 0 where it stays as it is.
        var fragmentBytes = 0
        /// The fragment that there is becomes a whole page.
        var fragmentBecomesPage = false
        /// The last page of the range becomes the fragment.
        var makesFragment = false
    }

    /// The most that a fragment holds: above, a page costs no more.
    private static let fragmentBytesLimit = 2048

    mutating func materialize(
        _ range: Range<Int>, size: Int, promoting: Bool, overwriting: Bool, in memory: Memory,
        charge: inout Charge
    ) throws(Errno) {
        let first = range.lowerBound / PageArena.pageBytes
        let last = (range.upperBound - 1) / PageArena.pageBytes
        // More pages than the limit has can be refused without looking for each. Overwriting asks no ledger.
        if last - first > Int(pageCount),
            last - first - Int(pageCount) > charge.ledger.leastLimitBytes / PageArena.pageBytes
        {
            _ = try charge.ledger.reserve(charge.ledger.leastLimitBytes + 1)
            throw .noSpace
        }
        let growth = growth(first: first, last: last, end: range.upperBound, size: size, memory)
        if growth.dataPages + growth.nodePages + growth.rootBytes + growth.fragmentBytes == 0 {
            if promoting { promote(in: memory, charge: &charge) }
            return
        }
        let before = cost(in: memory)
        let after = cost(after: growth, isSequential: isSequential && !promoting, memory)
        let reservation = try charge.ledger.reserve(max(0, after.total - before.total))
        var pages = try memory.takePages(growth.dataPages + growth.nodePages)
        var newRoot = SpareBlock(0, of: memory)
        if growth.rootBytes > 0 { newRoot = try memory.allocate(growth.rootBytes) }
        var newFragment = SpareBlock(0, of: memory)
        if growth.fragmentBytes > 0 { newFragment = try memory.allocate(growth.fragmentBytes) }
        // From here on nothing can fail.
        if promoting { isSequential = false }
        growIndex(to: growth.height, newRoot.keep(), &pages, memory)
        placeFragment(growth, newFragment.keep(), lastPage: last, &pages, memory)
        fillHoles(first...last, written: overwriting ? range : 0..<0, &pages, memory)
        assert(pages.count == 0 && cost(in: memory) == after, "the growth of a file was not as foreseen")
        reservation.commit(
            into: &charge, data: after.data - before.data, metadata: after.metadata - before.metadata)
    }

    private func growth(first: Int, last: Int, end: Int, size: Int, _ memory: Memory) -> Growth {
        var growth = Growth()
        let lastBytes = end - last * PageArena.pageBytes
        var hasFragment = fragment != 0
        if hasFragment, first <= Int(fragmentPage), Int(fragmentPage) <= last {
            let needed = Int(fragmentPage) == last ? lastBytes : PageArena.pageBytes
            if needed > PagedContents.fragmentBytesLimit {
                growth.fragmentBecomesPage = true
                growth.dataPages += 1
                hasFragment = false
            } else if needed > memory.capacity(ofBlock: fragment) {
                growth.fragmentBytes = needed
            }
        }
        let isLastNew = entry(of: last, memory) == 0 && !(fragment != 0 && Int(fragmentPage) == last)
        if isLastNew, !hasFragment, lastBytes <= PagedContents.fragmentBytesLimit, last <= Int(UInt32.max),
            last * PageArena.pageBytes >= size
        {
            growth.makesFragment = true
            growth.fragmentBytes = lastBytes
        }
        for page in first...last where entry(of: page, memory) == 0 {
            if fragment != 0, Int(fragmentPage) == page { continue }
            if growth.makesFragment, page == last { continue }
            growth.dataPages += 1
        }
        guard growth.dataPages > 0 else {
            growth.height = Int(height)
            return growth
        }
        countIndex(&growth, first: first, last: growth.makesFragment ? last - 1 : last, memory)
        return growth
    }

    /// Adds what the index lacks so that it has an entry for each page of `first...last`.
    private func countIndex(_ growth: inout Growth, first: Int, last: Int, _ memory: Memory) {
        var newHeight = Int(height)
        while last >> (10 * (newHeight + 1)) > 0 { newHeight += 1 }
        growth.height = newHeight
        let rootBytes = ((last >> (10 * newHeight)) + 1) * 4
        let risen = root == 0 ? 0 : newHeight - Int(height)
        if rootBytes > memory.capacity(ofBlock: root) || risen > 0 { growth.rootBytes = max(rootBytes, 4) }
        growth.nodePages += risen
        for level in 0..<newHeight {
            let span = 10 * (level + 1)
            for node in (first >> span)...(last >> span) {
                // A root that is pushed down becomes the first node of each level that is new.
                if risen > 0, node == 0, level >= Int(height) { continue }
                if !hasNode(node, level: level, memory) { growth.nodePages += 1 }
            }
        }
    }

    private func cost(after growth: Growth, isSequential: Bool, _ memory: Memory) -> Cost {
        var fragmentBytes = memory.capacity(ofBlock: fragment)
        if growth.fragmentBecomesPage { fragmentBytes = 0 }
        if growth.fragmentBytes > 0 { fragmentBytes = BlockHeap.capacity(for: growth.fragmentBytes) }
        let rootBytes =
            growth.rootBytes > 0 ? BlockHeap.capacity(for: growth.rootBytes) : memory.capacity(ofBlock: root)
        return PagedContents.cost(
            pages: Int(pageCount) + growth.dataPages, fragmentBytes: fragmentBytes,
            nodes: Int(nodeCount) + growth.nodePages, rootBytes: rootBytes, isSequential: isSequential,
            memory.policy)
    }

    private mutating func placeFragment(
        _ growth: Growth, _ new: UInt64, lastPage: Int, _ pages: inout PageStash, _ memory: Memory
    ) {
        let old = fragment
        let oldBytes = memory.capacity(ofBlock: old)
        if growth.fragmentBecomesPage {
            let (page, _) = pages.next()
            unsafe memory.address(ofPage: page).copyMemory(
                from: memory.address(ofBlock: old), byteCount: oldBytes)
            unsafe memset(memory.address(ofPage: page) + oldBytes, 0, PageArena.pageBytes - oldBytes)
            fragment = 0
            setEntry(of: Int(fragmentPage), to: page, &pages, memory)
            pageCount += 1
            memory.free(old)
        }
        guard new != 0 else { return }
        let newBytes = memory.capacity(ofBlock: new)
        unsafe memset(memory.address(ofBlock: new), 0, newBytes)
        if fragment != 0 {
            unsafe memory.address(ofBlock: new).copyMemory(
                from: memory.address(ofBlock: old), byteCount: oldBytes)
            memory.free(old)
        } else {
            fragmentPage = UInt32(lastPage)
        }
        fragment = new
    }

    /// Gives each hole in `range` a page, zero but for the bytes of `written`, which the caller is about to
    /// write.
    private mutating func fillHoles(
        _ range: ClosedRange<Int>, written: Range<Int>, _ pages: inout PageStash, _ memory: Memory
    ) {
        guard pages.count > 0 else { return }
        for index in range where entry(of: index, memory) == 0 {
            if fragment != 0, Int(fragmentPage) == index { continue }
            let (page, isDirty) = pages.next()
            if isDirty {
                let start = index * PageArena.pageBytes
                let address = unsafe memory.address(ofPage: page)
                if written.isEmpty {
                    unsafe memset(address, 0, PageArena.pageBytes)
                } else {
                    let behind = min(written.upperBound - start, PageArena.pageBytes)
                    unsafe memset(address, 0, max(0, written.lowerBound - start))
                    unsafe memset(address + behind, 0, PageArena.pageBytes - behind)
                }
            }
            setEntry(of: index, to: page, &pages, memory)
            pageCount += 1
        }
    }

    /// Makes the fragment's block as small as `size` permits, where the heap has one.
    mutating func trimFragment(to size: Int, in memory: Memory) {
        guard fragment != 0, Int(fragmentPage) == size / PageArena.pageBytes else { return }
        let wanted = BlockHeap.capacity(for: size % PageArena.pageBytes)
        // No memory for the smaller block: the larger one serves, and stays charged.
        guard wanted < memory.capacity(ofBlock: fragment), let new = memory.allocateIfPossible(wanted) else {
            return
        }
        unsafe memory.address(ofBlock: new).copyMemory(
            from: memory.address(ofBlock: fragment), byteCount: wanted)
        memory.free(fragment)
        fragment = new
    }
}
