public import Basics
import CLinux
import Glibc

/// A range of addresses that is reserved at once and made usable step by step, so that what lies in it never
/// moves.
///
/// Reserved addresses cost no memory; usable ones cost what has been touched. Fresh memory reads as zeros.
/// Blocks that are populated whole may lie in huge pages: one fault instead of 512, and less for the
/// processor to remember of where things are.
@safe public struct ReservedMemory: ~Copyable {
    public static let operatingSystemPageBytes = 4096
    /// A block, which a huge page fills.
    public static let blockBytes = 2 << 20
    /// How much is made usable at once: one mprotect(2) a gigabyte would be cheap, but counts under strict
    /// overcommit.
    private static let stepBytes = 16 << 20
    private static let adviceForLocked: Int32 = 24  // MADV_DONTNEED_LOCKED

    public let base: UnsafeMutableRawPointer
    /// The size of the range, in bytes.
    public let reservedBytes: Int
    private var usableBytes = 0
    /// A bit for each block that may lie in a huge page; nil where none may.
    private let huge: UnsafeMutableRawPointer?

    /// Reserves at least `bytes`, rounded to pages.
    ///
    /// - Parameter inHugePages: whether blocks that are populated whole may lie in huge pages.
    /// - Throws: `.noSpace` where there are not as many addresses in a row.
    public init(bytes: Int, inHugePages: Bool = false) throws(Errno) {
        let page = ReservedMemory.operatingSystemPageBytes
        let wanted = max((bytes + page - 1) / page * page, page)
        let alignment = inHugePages ? ReservedMemory.blockBytes : page
        guard let mapped = unsafe ReservedMemory.map(wanted, alignedTo: alignment) else { throw .noSpace }
        if inHugePages {
            let bits = ReservedMemory.bytesOfBits(for: wanted)
            guard let huge = unsafe ReservedMemory.map(bits) else {
                unsafe munmap(mapped, wanted)
                throw .noSpace
            }
            unsafe mprotect(huge, bits, PROT_READ | PROT_WRITE)
            unsafe self.huge = huge
        } else {
            unsafe huge = nil
        }
        unsafe base = mapped
        reservedBytes = wanted
        // Huge pages would make resident what nobody has charged; and a core would hold every user's files.
        unsafe madvise(mapped, wanted, MADV_NOHUGEPAGE)
        unsafe madvise(mapped, wanted, MADV_DONTDUMP)
    }

    private static func bytesOfBits(for bytes: Int) -> Int { bytes / blockBytes / 8 + 8 }

    private static func map(_ bytes: Int, alignedTo alignment: Int) -> UnsafeMutableRawPointer? {
        guard alignment > operatingSystemPageBytes else { return unsafe map(bytes) }
        guard let mapped = unsafe map(bytes + alignment) else { return nil }
        let before = (alignment - Int(bitPattern: mapped) % alignment) % alignment
        if before > 0 { unsafe munmap(mapped, before) }
        unsafe munmap(mapped + before + bytes, alignment - before)
        return unsafe mapped + before
    }

    private static func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let mapped = unsafe mmap(nil, bytes, PROT_NONE, flags, -1, 0)
        return unsafe mapped == MAP_FAILED ? nil : mapped
    }

    /// How many addresses in a row could be reserved now: `bytes`, or where the address space is limited the
    /// half of it, a quarter, and so on.
    public static func obtainable(upTo bytes: Int) -> Int {
        var wanted = bytes
        while wanted > 0 {
            if let mapped = unsafe map(wanted) {
                unsafe munmap(mapped, wanted)
                return wanted
            }
            wanted /= 2
        }
        return 0
    }

    deinit {
        unsafe munmap(base, reservedBytes)
        if let huge = unsafe huge { unsafe munmap(huge, ReservedMemory.bytesOfBits(for: reservedBytes)) }
    }

    /// Makes the first `bytes` usable. Throws `.noSpace`, and changes nothing, where the system refuses them.
    @inline(__always)
    public mutating func makeUsable(through bytes: Int) throws(Errno) {
        if bytes > usableBytes { try extend(through: bytes) }
    }

    private mutating func extend(through bytes: Int) throws(Errno) {
        let wanted = min(ReservedMemory.roundedToStep(bytes), reservedBytes)
        guard bytes <= wanted else { throw .noSpace }
        let fresh = wanted - usableBytes
        guard unsafe mprotect(base + usableBytes, fresh, PROT_READ | PROT_WRITE) == 0 else { throw .noSpace }
        usableBytes = wanted
    }

    // MARK: - Blocks

    /// Says that usable blocks, of which nothing has been touched, are about to be populated with
    /// `linux_populate_huge`.
    public func expectHuge(_ blocks: Range<Int>) {
        guard let huge = unsafe huge else { return }
        for block in blocks {
            let bits = unsafe huge.load(fromByteOffset: block / 8, as: UInt8.self)
            unsafe huge.storeBytes(of: bits | 1 << UInt8(block % 8), toByteOffset: block / 8, as: UInt8.self)
        }
    }

    /// Makes a block usable, of which nothing has been touched, and populates it. Returns whether it is:
    /// else touching it may still do.
    public mutating func populate(_ block: Int) -> Bool {
        let start = block * ReservedMemory.blockBytes
        do throws(Errno) {
            try makeUsable(through: start + ReservedMemory.blockBytes)
        } catch {
            return false
        }
        expectHuge(block..<block + 1)
        return unsafe linux_populate_huge(base + start, ReservedMemory.blockBytes) == 0
    }

    /// Splits the block that a part of is about to go, where it is huge: its memory would be kept as long as
    /// any of it is in use. What goes whole is merely noted.
    private func dropHuge(_ block: Int, givingBack range: Range<Int>) {
        guard let huge = unsafe huge else { return }
        let bits = unsafe huge.load(fromByteOffset: block / 8, as: UInt8.self)
        let bit: UInt8 = 1 << UInt8(block % 8)
        guard bits & bit != 0 else { return }
        unsafe huge.storeBytes(of: bits & ~bit, toByteOffset: block / 8, as: UInt8.self)
        let start = block * ReservedMemory.blockBytes
        let part = range.clamped(to: start..<start + ReservedMemory.blockBytes)
        guard part.count < ReservedMemory.blockBytes else { return }
        unsafe linux_split_huge(base + part.lowerBound, part.count)
    }

    /// Gives the memory of whole pages back to the operating system; they read as zeros again.
    public func giveBack(from offset: Int, bytes: Int) {
        guard bytes > 0 else { return }
        if unsafe huge != nil {
            let last = (offset + bytes - 1) / ReservedMemory.blockBytes
            for block in offset / ReservedMemory.blockBytes...last {
                dropHuge(block, givingBack: offset..<offset + bytes)
            }
        }
        guard unsafe madvise(base + offset, bytes, MADV_DONTNEED) != 0 else { return }
        // Memory that is locked against swapping has a word of its own (Linux 5.18).
        unsafe madvise(base + offset, bytes, ReservedMemory.adviceForLocked)
    }

    private static func roundedToStep(_ bytes: Int) -> Int {
        (bytes + stepBytes - 1) / stepBytes * stepBytes
    }
}
