public import Basics
import Glibc

/// A range of addresses that is reserved at once and made usable step by step, so that what lies in it never
/// moves.
///
/// Reserved addresses cost no memory; usable ones cost what has been touched. Fresh memory reads as zeros.
@safe public struct ReservedMemory: ~Copyable {
    public static let operatingSystemPageBytes = 4096
    /// How much is made usable at once: one mprotect(2) a gigabyte would be cheap, but counts under strict
    /// overcommit.
    private static let stepBytes = 16 << 20
    private static let adviceForLocked: Int32 = 24  // MADV_DONTNEED_LOCKED

    public let base: UnsafeMutableRawPointer
    /// The size of the range, in bytes.
    public let reservedBytes: Int
    private var usableBytes = 0

    /// Reserves at least `bytes`, rounded to pages.
    ///
    /// - Throws: `.noSpace` where there are not as many addresses in a row.
    public init(bytes: Int) throws(Errno) {
        let page = ReservedMemory.operatingSystemPageBytes
        let wanted = max((bytes + page - 1) / page * page, page)
        guard let mapped = unsafe ReservedMemory.map(wanted) else { throw .noSpace }
        unsafe base = mapped
        reservedBytes = wanted
        // Huge pages would make resident what nobody has charged; and a core would hold every user's files.
        unsafe madvise(mapped, wanted, MADV_NOHUGEPAGE)
        unsafe madvise(mapped, wanted, MADV_DONTDUMP)
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

    /// Gives the memory of whole pages back to the operating system; they read as zeros again.
    public func giveBack(from offset: Int, bytes: Int) {
        guard unsafe madvise(base + offset, bytes, MADV_DONTNEED) != 0 else { return }
        // Memory that is locked against swapping has a word of its own (Linux 5.18).
        unsafe madvise(base + offset, bytes, ReservedMemory.adviceForLocked)
    }

    private static func roundedToStep(_ bytes: Int) -> Int {
        (bytes + stepBytes - 1) / stepBytes * stepBytes
    }
}
