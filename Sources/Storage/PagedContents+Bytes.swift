public import Basics
import Glibc

/// Where bytes are copied in, lent out, erased and looked for.
extension PagedContents {
    /// The memory of page `index` and how many of its bytes are there; nil for a hole.
    private func memoryOfPage(_ index: Int, _ memory: Memory) -> UnsafeMutableRawBufferPointer? {
        if fragment != 0, Int(fragmentPage) == index {
            let count = memory.capacity(ofBlock: fragment)
            return unsafe UnsafeMutableRawBufferPointer(
                start: memory.address(ofBlock: fragment), count: count)
        }
        let page = entry(of: index, memory)
        guard page != 0 else { return nil }
        return unsafe UnsafeMutableRawBufferPointer(
            start: memory.address(ofPage: page), count: PageArena.pageBytes)
    }

    /// Copies `bytes` into pages that are there.
    func copyIn(_ bytes: RawSpan, at offset: Int, _ memory: Memory) {
        unsafe bytes.withUnsafeBytes { source in
            var done = 0
            while done < source.count {
                let index = (offset + done) / PageArena.pageBytes
                let start = (offset + done) % PageArena.pageBytes
                let count = min(PageArena.pageBytes - start, source.count - done)
                guard let target = unsafe memoryOfPage(index, memory), start + count <= target.count else {
                    preconditionFailure("a write went to memory that is not there")
                }
                let from = unsafe UnsafeRawBufferPointer(rebasing: source[done..<done + count])
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[start..<start + count]).copyMemory(
                    from: from)
                done += count
            }
        }
    }

    /// Makes the bytes of `range` that are there zero.
    func erase(_ range: Range<Int>, in memory: Memory) {
        var next = range.lowerBound / PageArena.pageBytes
        // An offset may be the highest there is: only differences are safe to compute with.
        while let index = firstPage(from: next, memory), index * PageArena.pageBytes < range.upperBound {
            let start = index * PageArena.pageBytes
            guard let page = unsafe memoryOfPage(index, memory), let base = page.baseAddress else { return }
            let first = max(0, range.lowerBound - start)
            let behind = min(page.count, range.upperBound - start)
            if first < behind { unsafe memset(base + first, 0, behind - first) }
            next = index + 1
        }
    }

    /// Lends the bytes of `range` to the kernel, which may keep them in its cache.
    public mutating func readForCache(
        _ range: Range<Int>, in memory: Memory, _ body: (borrowing Segments) -> Void
    ) {
        if let holes = read(range, in: memory, body) { cachedHoles.add(holes) }
    }

    /// Lends the bytes of `range`, which lies inside the file, as segments: pages in a row make one.
    ///
    /// Returns the pages from the first hole in the range to the last; nil where it has none.
    @discardableResult
    public func read(
        _ range: Range<Int>, in memory: Memory, _ body: (borrowing Segments) -> Void
    ) -> ClosedRange<Int>? {
        var holes: ClosedRange<Int>?
        if !lend(range, upTo: PagedContents.fewSegments, &holes, memory, body) {
            // A page may give two segments, its bytes and the zeros behind a fragment.
            let most = range.count / PageArena.pageBytes + 4
            let fits = lend(range, upTo: most, &holes, memory, body)
            precondition(fits, "a range has more segments than pages")
        }
        return holes
    }

    /// How many segments nearly every read makes do with: their list, of 1 KiB, is on the stack, where a
    /// longer one may need the heap.
    private static let fewSegments = 64

    /// Lends the bytes of `range` to `body`, and returns whether so many segments hold them: if not, `body`
    /// has not been called.
    private func lend(
        _ range: Range<Int>, upTo capacity: Int, _ holes: inout ClosedRange<Int>?, _ memory: Memory,
        _ body: (borrowing Segments) -> Void
    ) -> Bool {
        holes = nil
        return unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: capacity) { vectors in
            var used = 0
            var offset = range.lowerBound
            while offset < range.upperBound {
                let start = offset % PageArena.pageBytes
                let count = min(range.upperBound - offset, PageArena.pageBytes - start)
                var piece = unsafe iovec(iov_base: memory.zeroAddress, iov_len: count)
                let index = offset / PageArena.pageBytes
                if let page = unsafe memoryOfPage(index, memory), let base = page.baseAddress {
                    if start < page.count {
                        let there = min(count, page.count - start)
                        unsafe piece = unsafe iovec(iov_base: base + start, iov_len: there)
                    }
                } else {
                    holes = (holes?.lowerBound ?? index)...index
                }
                guard unsafe PagedContents.append(piece, to: vectors, &used, memory) else { return false }
                unsafe offset += piece.iov_len
            }
            let filled = unsafe UnsafeBufferPointer(rebasing: vectors[..<used])
            body(unsafe Segments(filled, byteCount: range.count))
            return true
        }
    }

    /// Adds a piece to the last segment, or as one of its own; false where there is no room for that.
    private static func append(
        _ piece: iovec, to vectors: UnsafeMutableBufferPointer<iovec>, _ count: inout Int, _ memory: Memory
    ) -> Bool {
        if count > 0 {
            let last = unsafe vectors[count - 1]
            let areAdjacent = unsafe last.iov_base + last.iov_len == piece.iov_base
            // Zeros are all the same zeros, as long as the range of them reaches.
            let areZeros = unsafe last.iov_base == memory.zeroAddress && piece.iov_base == memory.zeroAddress
            if unsafe areAdjacent || (areZeros && last.iov_len + piece.iov_len <= Memory.zeroBytes) {
                unsafe vectors[count - 1].iov_len += piece.iov_len
                return true
            }
        }
        guard count < vectors.count else { return false }
        unsafe (vectors.baseAddress.unsafelyUnwrapped + count).initialize(to: piece)
        count += 1
        return true
    }

    /// Where the first data, or the first hole, at or behind `offset` begins, in a file of `size` bytes.
    ///
    /// Throws `.noSuchAddressOrDevice` (ENXIO) at or behind the end, or where no data follows. The end counts
    /// as a hole.
    public func seek(_ kind: SparseSeek, from offset: Int, size: Int, in memory: Memory) throws(Errno) -> Int
    {
        guard offset < size else { throw .noSuchAddressOrDevice }
        let index = offset / PageArena.pageBytes
        switch kind {
        case .data:
            let last = (size - 1) / PageArena.pageBytes
            let found = min(firstPage(from: index, memory) ?? .max, cachedHoles.first(from: index) ?? .max)
            guard found <= last else { throw .noSuchAddressOrDevice }
            return max(offset, found * PageArena.pageBytes)
        case .hole:
            let last = (size - 1) / PageArena.pageBytes
            var page = index
            // In one step over what is covered: it may be more pages than a lifetime suffices to count.
            while page <= last {
                if let end = cachedHoles.end(behind: page) {
                    page = end
                } else if hasPage(page, memory) {
                    page += 1
                } else {
                    break
                }
            }
            return page > last ? size : max(offset, page * PageArena.pageBytes)
        }
    }
}
