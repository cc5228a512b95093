import Basics
import CLinux

/// Pages in a row: the numbers `first ..< first + count`.
struct PageRun: Hashable {
    var first: UInt32
    var count: Int
    /// Whether the pages may hold old bytes. Fresh ones read as zeros.
    var isDirty: Bool
}

/// Memory in pages of 4 KiB, each with a number; the lowest free ones are given out first.
///
/// Freed pages go back to the operating system, but for a bounded number that is kept for the next file:
/// giving a page back and taking it again costs a microsecond. Page 0 is never given out, so that 0 can mean
/// "no page".
@safe struct PageArena: ~Copyable {
    static let pageBytes = 4096

    private var memory: ReservedMemory
    private var taken: FreeMap
    /// A bit a page: it may hold old bytes, and counts as resident.
    private var resident: ReservedMemory
    /// How many free pages are resident.
    private(set) var keptPages = 0
    private let keptPagesLimit: Int

    init(bytes: Int, keptBytes: Int) throws(Errno) {
        let memory = try ReservedMemory(bytes: bytes)
        let pages = min(memory.reservedBytes / PageArena.pageBytes, Int(UInt32.max))
        var taken = try FreeMap(capacity: pages)
        let resident = try ReservedMemory(bytes: pages / 8 + 8)
        try taken.take(0..<1)
        self.memory = memory
        self.taken = taken
        self.resident = resident
        keptPagesLimit = keptBytes / PageArena.pageBytes
    }

    @inline(__always)
    func address(of page: UInt32) -> UnsafeMutableRawPointer {
        unsafe memory.base + Int(page) * PageArena.pageBytes
    }

    /// Takes up to `count` pages in a row, at least one.
    ///
    /// - Throws: `.noSpace` where there is no page, or the system refuses the memory.
    mutating func takeRun(upTo count: Int) throws(Errno) -> PageRun {
        let range = try taken.takeRun(upTo: count)
        do {
            return try admit(range)
        } catch {
            taken.release(range)
            throw error
        }
    }

    /// Makes the pages of a taken range usable and cuts it where pages with old bytes meet fresh ones.
    private mutating func admit(_ range: Range<Int>) throws(Errno) -> PageRun {
        try memory.makeUsable(through: range.upperBound * PageArena.pageBytes)
        try resident.makeUsable(through: range.upperBound / 8 + 8)
        let isDirty = isResident(range.lowerBound)
        var end = range.lowerBound + 1
        while end < range.upperBound, isResident(end) == isDirty { end += 1 }
        if end < range.upperBound { taken.release(end..<range.upperBound) }
        let count = end - range.lowerBound
        if isDirty {
            keptPages -= count
        } else {
            for page in range.lowerBound..<end { setResident(page, true) }
        }
        return PageRun(first: UInt32(range.lowerBound), count: count, isDirty: isDirty)
    }

    /// Takes exactly `count` pages in a row, for a block larger than a page.
    mutating func takeExactly(_ count: Int) throws(Errno) -> PageRun {
        // The lowest free run is often long enough; behind everything in use there is always room.
        let run = try takeRun(upTo: count)
        if run.count == count { return run }
        release(run.first, count: run.count)
        var tried: [PageRun] = []
        defer { for run in tried { release(run.first, count: run.count) } }
        while true {
            let run = try takeRun(upTo: count)
            if run.count == count { return run }
            tried.append(run)
        }
    }

    mutating func release(_ first: UInt32, count: Int) {
        taken.release(Int(first)..<Int(first) + count)
        let kept = min(count, max(0, keptPagesLimit - keptPages))
        keptPages += kept
        guard kept < count else { return }
        let start = Int(first) + kept
        memory.giveBack(from: start * PageArena.pageBytes, bytes: (count - kept) * PageArena.pageBytes)
        for page in start..<Int(first) + count { setResident(page, false) }
    }

    private func isResident(_ page: Int) -> Bool {
        unsafe resident.base.load(fromByteOffset: page / 8, as: UInt8.self) >> UInt8(page % 8) & 1 == 1
    }

    private func setResident(_ page: Int, _ isResident: Bool) {
        let old = unsafe resident.base.load(fromByteOffset: page / 8, as: UInt8.self)
        let bit: UInt8 = 1 << UInt8(page % 8)
        unsafe resident.base.storeBytes(
            of: isResident ? old | bit : old & ~bit, toByteOffset: page / 8, as: UInt8.self)
    }
}
