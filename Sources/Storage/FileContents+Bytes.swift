public import Basics
import Glibc

/// Where bytes are copied in, lent out, erased and looked for.
extension FileContents {
    /// The memory of page `index` and how many of its bytes are there; nil for a hole.
    private func memoryOfPage(_ index: Int, _ memory: Memory) -> UnsafeMutableRawBufferPointer? {
        if fragment != 0, Int(fragmentPage) == index {
            let count = memory.capacity(ofBlock: fragment)
            return unsafe UnsafeMutableRawBufferPointer(start: memory.address(ofBlock: fragment), count: count)
        }
        let page = entry(of: index, memory)
        guard page != 0 else { return nil }
        return unsafe UnsafeMutableRawBufferPointer(start: memory.address(ofPage: page), count: PageArena.pageBytes)
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
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[start..<start + count]).copyMemory(from: from)
                done += count
            }
        }
    }

    /// Makes the bytes of `range` that are there zero.
    func erase(_ range: Range<Int>, in memory: Memory) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            guard let index = firstPage(from: offset / PageArena.pageBytes, memory) else { return }
            let start = index * PageArena.pageBytes
            guard start < range.upperBound, let page = unsafe memoryOfPage(index, memory) else { return }
            let part = range.clamped(to: start..<start + page.count)
            if !part.isEmpty, let base = page.baseAddress {
                unsafe memset(base + (part.lowerBound - start), 0, part.count)
            }
            offset = start + PageArena.pageBytes
        }
    }

    /// Lends the bytes of `range`, which lies inside the file, as segments: pages in a row make one.
    public func read(_ range: Range<Int>, in memory: Memory, _ body: (borrowing Segments) -> Void) {
        // A page may give two segments, its bytes and the zeros behind a fragment.
        let most = range.count / PageArena.pageBytes + 4
        unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: most) { vectors in
            var count = 0
            var offset = range.lowerBound
            while offset < range.upperBound {
                let start = offset % PageArena.pageBytes
                let end = min(range.upperBound, offset - start + PageArena.pageBytes)
                var piece = unsafe iovec(iov_base: memory.zeroAddress, iov_len: end - offset)
                if let page = unsafe memoryOfPage(offset / PageArena.pageBytes, memory), let base = page.baseAddress,
                    start < page.count
                {
                    unsafe piece = unsafe iovec(iov_base: base + start, iov_len: min(end - offset, page.count - start))
                }
                unsafe FileContents.append(piece, to: vectors, &count, memory)
                unsafe offset += piece.iov_len
            }
            let used = unsafe UnsafeBufferPointer(rebasing: vectors[..<count])
            body(unsafe Segments(used, byteCount: range.count))
        }
    }

    private static func append(
        _ piece: iovec, to vectors: UnsafeMutableBufferPointer<iovec>, _ count: inout Int, _ memory: Memory
    ) {
        if count > 0 {
            let last = unsafe vectors[count - 1]
            let areAdjacent = unsafe last.iov_base + last.iov_len == piece.iov_base
            // Zeros are all the same zeros, as long as the range of them reaches.
            let areZeros = unsafe last.iov_base == memory.zeroAddress && piece.iov_base == memory.zeroAddress
            if unsafe areAdjacent || (areZeros && last.iov_len + piece.iov_len <= Memory.zeroBytes) {
                unsafe vectors[count - 1].iov_len += piece.iov_len
                return
            }
        }
        unsafe (vectors.baseAddress.unsafelyUnwrapped + count).initialize(to: piece)
        count += 1
    }

    /// Where the first data, or the first hole, at or behind `offset` begins, in a file of `size` bytes.
    ///
    /// Throws `.noSuchAddressOrDevice` (ENXIO) at or behind the end, or where no data follows. The end counts as a hole.
    public func seek(_ kind: SparseSeek, from offset: Int, size: Int, in memory: Memory) throws(Errno) -> Int {
        guard offset < size else { throw .noSuchAddressOrDevice }
        let index = offset / PageArena.pageBytes
        switch kind {
        case .data:
            guard let found = firstPage(from: index, memory), found * PageArena.pageBytes < size else {
                throw .noSuchAddressOrDevice
            }
            return max(offset, found * PageArena.pageBytes)
        case .hole:
            var page = index
            while page * PageArena.pageBytes < size, hasPage(page, memory) { page += 1 }
            return min(size, max(offset, page * PageArena.pageBytes))
        }
    }
}
