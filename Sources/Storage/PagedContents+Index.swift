import Basics
import Glibc

/// The index of a file's pages: a tree of page numbers, 1024 a node, 0 for a hole.
///
/// The root lies in a block that is as large as it must be and is counted in levels by `height`; with height
/// 0 its entries are the data pages. Nodes below the root are whole pages. Byte offsets reach 2^63, so that a
/// height of 5 is the highest.
extension PagedContents {
    private static let fanoutBits = 10
    private static let fanout = 1 << fanoutBits

    private func rootEntries(_ memory: Memory) -> UnsafeMutableBufferPointer<UInt32> {
        let address = unsafe memory.address(ofBlock: root).assumingMemoryBound(to: UInt32.self)
        return unsafe UnsafeMutableBufferPointer(
            start: address, count: min(memory.capacity(ofBlock: root) / 4, 1024))
    }

    private static func nodeEntries(_ node: UInt32, _ memory: Memory) -> UnsafeMutableBufferPointer<UInt32> {
        let address = unsafe memory.address(ofPage: node).assumingMemoryBound(to: UInt32.self)
        return unsafe UnsafeMutableBufferPointer(start: address, count: fanout)
    }

    /// The page number that holds page `index` of the file; 0: a hole, or the fragment.
    func entry(of index: Int, _ memory: Memory) -> UInt32 {
        descend(to: index, level: 0, memory)
    }

    /// Whether the node of `level` that is number `node` of its level exists. Level 0 nodes hold data pages.
    func hasNode(_ node: Int, level: Int, _ memory: Memory) -> Bool {
        level < Int(height)
            && descend(to: node << (PagedContents.fanoutBits * (level + 1)), level: level + 1, memory) != 0
    }

    /// Follows the index towards page `index` and returns the entry of `level`: a data page for 0, else a
    /// node.
    private func descend(to index: Int, level: Int, _ memory: Memory) -> UInt32 {
        guard root != 0 else { return 0 }
        let entries = unsafe rootEntries(memory)
        var depth = Int(height)
        let position = index >> (PagedContents.fanoutBits * depth)
        guard position < entries.count else { return 0 }
        var entry = unsafe entries[position]
        while depth > level {
            guard entry != 0 else { return 0 }
            depth -= 1
            let position = (index >> (PagedContents.fanoutBits * depth)) & (PagedContents.fanout - 1)
            entry = unsafe PagedContents.nodeEntries(entry, memory)[position]
        }
        return entry
    }

    /// Raises the index to `newHeight` and replaces its root by the block `newRoot`, where that is not 0.
    mutating func growIndex(to newHeight: Int, _ newRoot: UInt64, _ pages: inout PageStash, _ memory: Memory)
    {
        guard newRoot != 0 else { return }
        unsafe memset(memory.address(ofBlock: newRoot), 0, memory.capacity(ofBlock: newRoot))
        let old = root
        if old != 0 {
            let oldEntries = unsafe rootEntries(memory)
            root = newRoot
            if Int(height) == newHeight {
                unsafe memory.address(ofBlock: newRoot).copyMemory(
                    from: UnsafeRawPointer(oldEntries.baseAddress.unsafelyUnwrapped),
                    byteCount: oldEntries.count * 4)
            } else {
                var top = newNode(&pages, memory)
                unsafe memory.address(ofPage: top).copyMemory(
                    from: UnsafeRawPointer(oldEntries.baseAddress.unsafelyUnwrapped),
                    byteCount: oldEntries.count * 4)
                for _ in (Int(height) + 1)..<max(newHeight, Int(height) + 1) {
                    let parent = newNode(&pages, memory)
                    unsafe PagedContents.nodeEntries(parent, memory)[0] = top
                    top = parent
                }
                unsafe rootEntries(memory)[0] = top
            }
            memory.free(old)
        }
        root = newRoot
        height = UInt8(newHeight)
    }

    private mutating func newNode(_ pages: inout PageStash, _ memory: Memory) -> UInt32 {
        let (page, isDirty) = pages.next()
        if isDirty { unsafe memset(memory.address(ofPage: page), 0, PageArena.pageBytes) }
        nodeCount += 1
        return page
    }

    /// Sets the entry of page `index`, making the nodes on the way from `pages`.
    mutating func setEntry(of index: Int, to page: UInt32, _ pages: inout PageStash, _ memory: Memory) {
        var entries = unsafe rootEntries(memory)
        var depth = Int(height)
        var position = index >> (PagedContents.fanoutBits * depth)
        while depth > 0 {
            var node = unsafe entries[position]
            if node == 0 {
                node = newNode(&pages, memory)
                unsafe entries[position] = node
            }
            unsafe entries = PagedContents.nodeEntries(node, memory)
            depth -= 1
            position = (index >> (PagedContents.fanoutBits * depth)) & (PagedContents.fanout - 1)
        }
        unsafe entries[position] = page
    }

    /// Frees the pages of `range`, the fragment if it is one of them, and the nodes that become empty.
    mutating func removePages(_ range: Range<Int>, in memory: Memory) {
        if fragment != 0, range.contains(Int(fragmentPage)) {
            memory.free(fragment)
            fragment = 0
        }
        guard root != 0 else { return }
        var freed = FreedRun()
        unsafe removePages(range, of: rootEntries(memory), level: Int(height), base: 0, &freed, memory)
        freed.flush(memory)
        if pageCount == 0 {
            memory.free(root)
            root = 0
            height = 0
            assert(nodeCount == 0, "an index without pages kept a node")
        }
    }

    private mutating func removePages(
        _ range: Range<Int>, of entries: UnsafeMutableBufferPointer<UInt32>, level: Int, base: Int,
        _ freed: inout FreedRun, _ memory: Memory
    ) {
        let span = 1 << (PagedContents.fanoutBits * level)
        let first = max(0, range.lowerBound - base) / span
        let behind =
            range.upperBound - base > span * entries.count
            ? entries.count : (range.upperBound - base + span - 1) / span
        guard first < behind else { return }
        for position in first..<behind {
            let entry = unsafe entries[position]
            guard entry != 0 else { continue }
            if level == 0 {
                freed.add(entry, memory)
                pageCount -= 1
                unsafe entries[position] = 0
                continue
            }
            let below = unsafe PagedContents.nodeEntries(entry, memory)
            unsafe removePages(
                range, of: below, level: level - 1, base: base + position * span, &freed, memory)
            if unsafe below.allSatisfy({ $0 == 0 }) {
                freed.add(entry, memory)
                nodeCount -= 1
                unsafe entries[position] = 0
            }
        }
    }

    /// The first page at or behind `index` that is there, the fragment among them; nil where there is none.
    func firstPage(from index: Int, _ memory: Memory) -> Int? {
        var found: Int?
        if root != 0 {
            found = unsafe firstEntry(
                from: index, in: rootEntries(memory), level: Int(height), base: 0, memory)
        }
        if fragment != 0, Int(fragmentPage) >= index { found = min(found ?? .max, Int(fragmentPage)) }
        return found
    }

    private func firstEntry(
        from index: Int, in entries: UnsafeMutableBufferPointer<UInt32>, level: Int, base: Int,
        _ memory: Memory
    ) -> Int? {
        let span = 1 << (PagedContents.fanoutBits * level)
        var position = max(0, index - base) / span
        while position < entries.count {
            let entry = unsafe entries[position]
            if entry != 0 {
                if level == 0 { return base + position }
                let below = unsafe PagedContents.nodeEntries(entry, memory)
                let start = base + position * span
                if let found = unsafe firstEntry(
                    from: index, in: below, level: level - 1, base: start, memory)
                {
                    return found
                }
            }
            position += 1
        }
        return nil
    }

    /// Whether page `index` is there, as a page or as the fragment.
    func hasPage(_ index: Int, _ memory: Memory) -> Bool {
        entry(of: index, memory) != 0 || (fragment != 0 && Int(fragmentPage) == index)
    }
}

/// Freed pages in a row, given back together: files are mostly laid out so.
private struct FreedRun {
    private var first: UInt32 = 0
    private var count = 0

    mutating func add(_ page: UInt32, _ memory: Memory) {
        if count > 0, page == first + UInt32(count), count < 1024 {
            count += 1
        } else {
            flush(memory)
            first = page
            count = 1
        }
    }

    mutating func flush(_ memory: Memory) {
        if count > 0 { memory.freePages(first, count: count) }
        count = 0
    }
}
