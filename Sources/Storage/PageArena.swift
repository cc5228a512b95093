import Basics
import CLinux
import Glibc

/// Pages in a row: the numbers `first ..< first + count`.
struct PageRun: Hashable {
    var first: UInt32
    var count: Int
    /// Whether the pages may hold old bytes. Fresh ones read as zeros.
    var isDirty: Bool
    /// Whether they are the beginning of whole blocks, which are populated as such.
    var isBlocks = false
    /// Whether these blocks may lie in huge pages.
    var isHuge = false
    /// How many pages behind them fill the last block: populated with it, and then kept.
    var spare = 0
}

/// Memory in pages of 4 KiB, each with a number; the lowest free ones are given out first.
///
/// Freed pages go back to the operating system, but for a bounded number that is kept for the next file:
/// giving a page back and taking it again costs a microsecond. Fresh pages come in blocks of 256 KiB, or of a
/// huge page, where one is untouched: what is not needed of it is kept as if it had been freed. A block that
/// is free goes back in one call. The first block is taken page by page, so that a small mount stays small.
/// What a large file will want next can be made ready meanwhile: `takeBlock(behind:)`.
/// Page 0 is never given out, so that 0 can mean "no page".
@safe struct PageArena: ~Copyable {
    static let pageBytes = 4096

    private var memory: ReservedMemory
    private var taken: FreeMap
    /// A bit a page: it may hold old bytes, and counts as resident.
    private var resident: ReservedMemory
    /// How many free pages are resident; those that are about to be kept among them.
    private(set) var keptPages = 0
    private let keptPagesLimit: Int
    private let takesBlocks: Bool
    private let inHugePages: Bool
    /// As many as a huge page has, or as a processor's cache still holds when they are written.
    private let blockPages: Int

    /// - Parameters:
    ///   - inBlocks: whether fresh pages may come in blocks; never where less than a block may be kept.
    ///   - inHugePages: whether blocks may lie in huge pages.
    init(bytes: Int, keptBytes: Int, inBlocks: Bool = true, inHugePages: Bool) throws(Errno) {
        // Fields last: with one that is set before something throws, Swift 6.3.1 makes an initializer with
        // optimization that is nothing but its failure.
        let kept = keptBytes / PageArena.pageBytes
        let blockPages = inHugePages ? ReservedMemory.blockBytes / PageArena.pageBytes : 64
        let takesBlocks = inBlocks && kept >= blockPages
        let memory = try ReservedMemory(bytes: bytes, inHugePages: takesBlocks && inHugePages)
        let pages = min(memory.reservedBytes / PageArena.pageBytes, Int(UInt32.max))
        var taken = try FreeMap(capacity: pages)
        let resident = try ReservedMemory(bytes: pages / 8 + 8)
        try taken.take(0..<1)
        self.memory = memory
        self.taken = taken
        self.resident = resident
        self.takesBlocks = takesBlocks
        self.inHugePages = inHugePages
        self.blockPages = blockPages
        keptPagesLimit = kept
    }

    @inline(__always)
    func address(of page: UInt32) -> UnsafeMutableRawPointer {
        unsafe memory.base + Int(page) * PageArena.pageBytes
    }

    // MARK: - Taking

    /// Takes up to `count` pages in a row, at least one. What the run says of blocks is then the caller's to
    /// do: `populate`, and after it `keepSpare` or `abandon`.
    ///
    /// - Throws: `.noSpace` where there is no page, or the system refuses the memory.
    mutating func takeRun(upTo count: Int, inBlocks: Bool = true) throws(Errno) -> PageRun {
        let range = try taken.takeRun(upTo: count)
        do {
            return try admit(range, inBlocks: inBlocks && takesBlocks)
        } catch {
            taken.release(range)
            throw error
        }
    }

    /// The same for who has no lock to leave meanwhile: blocks are populated, single pages by being touched.
    mutating func takePopulated(upTo count: Int) throws(Errno) -> PageRun {
        let run = try takeRun(upTo: count)
        guard run.isBlocks else { return run }
        guard unsafe PageArena.populate(run, at: address(of: run.first)) else {
            abandon(run)
            return try takeRun(upTo: count, inBlocks: false)
        }
        keepSpare(of: run)
        return run
    }

    /// Makes the pages of a taken range usable and cuts it where pages with old bytes meet fresh ones, and
    /// fresh ones in front of a block meet the block.
    private mutating func admit(_ range: Range<Int>, inBlocks: Bool) throws(Errno) -> PageRun {
        try memory.makeUsable(through: range.upperBound * PageArena.pageBytes)
        try resident.makeUsable(through: range.upperBound / 8 + 8)
        let first = range.lowerBound
        let isDirty = isResident(first)
        var end = first + 1
        while end < range.upperBound, isResident(end) == isDirty { end += 1 }
        let blockStart = blockStart(at: first)
        if !isDirty, inBlocks, blockStart > first { end = min(end, blockStart) }
        if end < range.upperBound { taken.release(end..<range.upperBound) }
        var run = PageRun(first: UInt32(first), count: end - first, isDirty: isDirty)
        if isDirty {
            keptPages -= run.count
        } else {
            if inBlocks, blockStart == first { widen(&run) }
            for page in first..<first + run.count { setResident(page, true) }
        }
        return run
    }

    /// Makes whole blocks of a run of fresh pages that begins where a block does, if the rest of the last one
    /// is untouched and may be kept; or cuts that one off.
    private mutating func widen(_ run: inout PageRun) {
        let first = Int(run.first)
        let end = first + run.count
        let whole = (end + blockPages - 1) / blockPages * blockPages
        let spare = whole - end
        if spare == 0 || takeSpare(end..<whole) {
            run.spare = spare
        } else if run.count > blockPages {
            run.count = run.count / blockPages * blockPages
            taken.release(first + run.count..<end)
        } else {
            return
        }
        makeBlocks(&run)
    }

    private func makeBlocks(_ run: inout PageRun) {
        run.isBlocks = true
        guard inHugePages else { return }
        run.isHuge = true
        let first = Int(run.first)
        let blocks = first / blockPages..<(first + run.count + run.spare) / blockPages
        memory.expectHuge(blocks)
    }

    private mutating func takeSpare(_ pages: Range<Int>) -> Bool {
        guard keptPages + pages.count <= keptPagesLimit + blockPages else { return false }
        do throws(Errno) {
            try memory.makeUsable(through: pages.upperBound * PageArena.pageBytes)
            try resident.makeUsable(through: pages.upperBound / 8 + 8)
        } catch {
            return false
        }
        guard pages.allSatisfy({ !isResident($0) }), taken.takeIfFree(pages) else { return false }
        keptPages += pages.count
        for page in pages { setResident(page, true) }
        return true
    }

    /// As many pages as one request can need.
    private static let readyPages = 256

    /// Takes an untouched block of those that a large file will want which has pages up to `end`, all of it
    /// spare: the caller's to `populate`, and then to give to `keepSpare` or `abandon`. nil where they are
    /// ready, or more may not be kept.
    mutating func takeBlock(behind end: UInt32) -> PageRun? {
        guard takesBlocks else { return nil }
        var block = blockStart(at: Int(end))
        let last = block + max(PageArena.readyPages, blockPages)
        while block < last, keptPages + blockPages <= keptPagesLimit {
            if takeSpare(block..<block + blockPages) {
                var run = PageRun(first: UInt32(block), count: 0, isDirty: false, spare: blockPages)
                makeBlocks(&run)
                return run
            }
            block += blockPages
        }
        return nil
    }

    /// Where the block begins that `page` is in or stands before: never the first one.
    private func blockStart(at page: Int) -> Int {
        max(1, (page + blockPages - 1) / blockPages) * blockPages
    }

    /// Populates the pages of a run that `takeRun` returned, with its spare ones; false where there is no
    /// memory, which touching them could not tell.
    static func populate(_ run: PageRun, at address: UnsafeMutableRawPointer) -> Bool {
        if run.isDirty || (run.count < 4 && !run.isBlocks) { return true }
        let bytes = (run.count + run.spare) * pageBytes
        let failure =
            run.isHuge
            ? unsafe linux_populate_huge(address, bytes) : unsafe linux_populate_write(address, bytes)
        // EINVAL: a kernel before 5.14; touching will do.
        return failure == 0 || failure == EINVAL
    }

    /// The spare pages of a run are populated: they are free.
    mutating func keepSpare(of run: PageRun) {
        let end = Int(run.first) + run.count
        taken.release(end..<end + run.spare)
    }

    /// A run cannot be populated: all of it is free, and nothing of it is resident.
    mutating func abandon(_ run: PageRun) {
        let pages = Int(run.first)..<Int(run.first) + run.count + run.spare
        taken.release(pages)
        keptPages += run.count
        giveBack(pages)
    }

    /// Takes exactly `count` pages in a row, for a block larger than a page.
    mutating func takeExactly(_ count: Int) throws(Errno) -> PageRun {
        // The lowest free run is often long enough; behind everything in use there is always room.
        let run = try takeRun(upTo: count, inBlocks: false)
        if run.count == count { return run }
        release(run.first, count: run.count)
        var tried: [PageRun] = []
        defer { for run in tried { release(run.first, count: run.count) } }
        while true {
            let run = try takeRun(upTo: count, inBlocks: false)
            if run.count == count { return run }
            tried.append(run)
        }
    }

    // MARK: - Giving back

    /// Frees pages, and gives back what is too much: first blocks that are free now, and then these pages.
    mutating func release(_ first: UInt32, count: Int) {
        let pages = Int(first)..<Int(first) + count
        taken.release(pages)
        keptPages += count
        // Half of what may be kept is for pages in blocks of which something is in use.
        if takesBlocks, keptPages > keptPagesLimit / 2 { giveBackBlocks(in: pages) }
        guard keptPages > keptPagesLimit else { return }
        let end = pages.upperBound
        giveBack(max(pages.lowerBound, end - (keptPages - keptPagesLimit))..<end)
    }

    private mutating func giveBackBlocks(in pages: Range<Int>) {
        let size = blockPages
        var free: Range<Int>?
        for block in pages.lowerBound / size...(pages.upperBound - 1) / size {
            let end = (block + 1) * size
            let isFree = end <= taken.capacity && taken.isFree(block * size..<end)
            if isFree { free = (free?.lowerBound ?? block * size)..<end }
            guard let range = free, !isFree || block == (pages.upperBound - 1) / size else { continue }
            giveBack(range)
            free = nil
            if keptPages <= keptPagesLimit / 2 { return }
        }
    }

    /// Gives free pages back, as far as they are resident.
    private mutating func giveBack(_ pages: Range<Int>) {
        let size = PageArena.pageBytes
        memory.giveBack(from: pages.lowerBound * size, bytes: pages.count * size)
        for page in pages where isResident(page) {
            keptPages -= 1
            setResident(page, false)
        }
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
