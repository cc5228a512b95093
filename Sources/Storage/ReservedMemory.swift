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

    public let base: UnsafeMutableRawPointer
    /// The size of the range, in bytes.
    public let reservedBytes: Int
    private var usableBytes = 0

    /// Reserves up to `bytes`; where the address space is limited, the half, a quarter, and so on down to one
    /// step.
    ///
    /// - Throws: `.noSpace` where not even that is to be had.
    public init(bytes: Int) throws(Errno) {
        var wanted = max(ReservedMemory.roundedToStep(bytes), ReservedMemory.stepBytes)
        while true {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
            if let mapped = unsafe mmap(nil, wanted, PROT_NONE, flags, -1, 0), unsafe mapped != MAP_FAILED {
                unsafe base = mapped
                reservedBytes = wanted
                // Huge pages would make resident what nobody has charged; and a core would hold every user's
                // files.
                unsafe madvise(mapped, wanted, MADV_NOHUGEPAGE)
                unsafe madvise(mapped, wanted, MADV_DONTDUMP)
                return
            }
            guard wanted > ReservedMemory.stepBytes else { throw .noSpace }
            wanted = max(ReservedMemory.roundedToStep(wanted / 2), ReservedMemory.stepBytes)
        }
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
        unsafe madvise(base + offset, bytes, MADV_DONTNEED)
    }

    private static func roundedToStep(_ bytes: Int) -> Int {
        (bytes + stepBytes - 1) / stepBytes * stepBytes
    }
}
