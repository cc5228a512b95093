import Basics

/// Blocks of 16 bytes to 4 KiB, named by their place (page times 4096 plus the offset in it; 0 is none), cut
/// from pages of an arena, and larger ones of whole pages.
///
/// Each page is cut into blocks of one size class; the classes are the sizes that fill a page best, so that
/// at most 4 % of a page is lost; what is lost, and the 16 bytes of bookkeeping a page, is part of a block's
/// `cost`. A page whose blocks are all free returns to the arena.
@safe struct BlockHeap: ~Copyable {
    /// The block sizes, in bytes, ascending.
    static let classes: [Int] = [
        16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 272, 304, 336, 368, 400,
        448, 512,
        576, 672, 816, 1024, 1360, 2048, 4096,
    ]
    /// The class of a page that is part of a block larger than a page.
    private static let largeClass: UInt8 = 255
    static let largestClassBytes = 4096

    /// What is known of a page of blocks. `freeHead` and `next`, `previous` are 1 too high: 0 is none.
    ///
    /// As the class is read without the heap's lock, fields are assigned, and not changed in place (`+=`):
    /// that would count as an access to the whole.
    struct Page {
        var sizeClass: UInt8 = 0
        /// Blocks in use.
        var used: UInt16 = 0
        /// Blocks that have been in use at least once; those behind have never been touched.
        var carved: UInt16 = 0
        /// The first of the freed blocks, which are chained through their first two bytes.
        var freeHead: UInt16 = 0
        /// Neighbors in the list of pages of this class that have a free block. `next` is the page count of a
        /// large block.
        var next: UInt32 = 0
        var previous: UInt32 = 0
    }

    private var arena: PageArena
    private var pages: ReservedMemory
    /// By class: the first page with a free block; 0 for none.
    private var partial = InlineArray<30, UInt32>(repeating: 0)
    /// The class of a size, by (size + 15) / 16.
    private var classOfSize = InlineArray<257, UInt8>(repeating: 0)

    /// What pages of blocks cost beyond the blocks in use; a few bytes below 0 where costs were rounded up.
    private(set) var slackBytes = 0
    /// Whether a page more may be taken for blocks.
    private let admitsPage: @Sendable (Int) -> Bool

    init(
        bytes: Int, keptBytes: Int, inHugePages: Bool, admitsPage: @escaping @Sendable (Int) -> Bool
    ) throws(Errno) {
        self.admitsPage = admitsPage
        // Blocks of small pages would be populated one by one while the lock is held, for little.
        let arena = try PageArena(
            bytes: bytes, keptBytes: keptBytes, inBlocks: inHugePages, inHugePages: inHugePages)
        let pages = try ReservedMemory(bytes: bytes / PageArena.pageBytes * MemoryLayout<Page>.stride)
        self.arena = arena
        self.pages = pages
        var sizeClass = 0
        for sixteenths in 0...256 {
            if sixteenths * 16 > BlockHeap.classes[sizeClass] { sizeClass += 1 }
            classOfSize[sixteenths] = UInt8(sizeClass)
        }
    }

    func page(_ number: UInt32) -> UnsafeMutablePointer<Page> {
        unsafe (pages.base + Int(number) * MemoryLayout<Page>.stride).assumingMemoryBound(to: Page.self)
    }

    @inline(__always)
    func address(_ location: UInt64) -> UnsafeMutableRawPointer {
        unsafe arena.address(of: 0) + Int(location)
    }

    /// The capacity of a block in that page, which must be in use. Needs no lock: neither the class nor the
    /// page count of a large block changes meanwhile, and nothing else is looked at.
    static func capacity(ofBlockIn page: UnsafePointer<Page>) -> Int {
        let sizeClass = unsafe page.pointee.sizeClass
        if sizeClass == largeClass { return unsafe Int(page.pointee.next) * PageArena.pageBytes }
        return classes[Int(sizeClass)]
    }

    mutating func allocate(_ bytes: Int) throws(Errno) -> UInt64 {
        guard bytes <= BlockHeap.largestClassBytes else { return try allocateLarge(bytes) }
        let sizeClass = classOfSize[(bytes + 15) / 16]
        var number = partial[Int(sizeClass)]
        if number == 0 {
            number = try addPage(sizeClass)
        }
        let size = BlockHeap.classes[Int(sizeClass)]
        let page = unsafe page(number)
        let start = UInt64(number) << 12
        let index: UInt16
        if unsafe page.pointee.freeHead != 0 {
            unsafe index = page.pointee.freeHead - 1
            unsafe page.pointee.freeHead = address(start + UInt64(Int(index) * size)).load(as: UInt16.self)
        } else {
            unsafe index = page.pointee.carved
            unsafe page.pointee.carved = page.pointee.carved + 1
        }
        unsafe page.pointee.used = page.pointee.used + 1
        slackBytes -= BlockHeap.cost(size)
        if unsafe Int(page.pointee.used) == PageArena.pageBytes / size { unlist(number) }
        return start + UInt64(Int(index) * size)
    }

    private mutating func allocateLarge(_ bytes: Int) throws(Errno) -> UInt64 {
        guard admitsPage(0) else { throw .noSpace }
        let run = try arena.takeExactly((bytes + PageArena.pageBytes - 1) / PageArena.pageBytes)
        do {
            try pages.makeUsable(through: (Int(run.first) + 1) * MemoryLayout<Page>.stride)
        } catch {
            arena.release(run.first, count: run.count)
            throw error
        }
        unsafe page(run.first).pointee = Page(sizeClass: BlockHeap.largeClass, next: UInt32(run.count))
        return UInt64(run.first) << 12
    }

    mutating func free(_ location: UInt64) {
        let number = UInt32(location >> 12)
        let page = unsafe page(number)
        if unsafe page.pointee.sizeClass == BlockHeap.largeClass {
            unsafe arena.release(number, count: Int(page.pointee.next))
            return
        }
        let size = unsafe BlockHeap.classes[Int(page.pointee.sizeClass)]
        let wasFull = unsafe Int(page.pointee.used) == PageArena.pageBytes / size
        unsafe page.pointee.used = page.pointee.used - 1
        slackBytes += BlockHeap.cost(size)
        if unsafe page.pointee.used == 0 {
            if !wasFull { unlist(number) }
            arena.release(number, count: 1)
            slackBytes -= BlockHeap.pageCost
            return
        }
        unsafe address(location).storeBytes(of: page.pointee.freeHead, as: UInt16.self)
        unsafe page.pointee.freeHead = UInt16(Int(location & 4095) / size) + 1
        if wasFull { list(number) }
    }

    private mutating func addPage(_ sizeClass: UInt8) throws(Errno) -> UInt32 {
        guard admitsPage(BlockHeap.pageCost) else { throw .noSpace }
        let run = try arena.takePopulated(upTo: 1)
        do {
            try pages.makeUsable(through: (Int(run.first) + 1) * MemoryLayout<Page>.stride)
        } catch {
            arena.release(run.first, count: 1)
            throw error
        }
        unsafe page(run.first).pointee = Page(sizeClass: sizeClass)
        slackBytes += BlockHeap.pageCost
        list(run.first)
        return run.first
    }

    private mutating func list(_ number: UInt32) {
        let page = unsafe page(number)
        let sizeClass = unsafe Int(page.pointee.sizeClass)
        let first = partial[sizeClass]
        unsafe page.pointee.next = first
        unsafe page.pointee.previous = 0
        if first != 0 { unsafe self.page(first).pointee.previous = number }
        partial[sizeClass] = number
    }

    private mutating func unlist(_ number: UInt32) {
        let old = unsafe page(number).pointee
        if old.next != 0 { unsafe page(old.next).pointee.previous = old.previous }
        if old.previous != 0 {
            unsafe page(old.previous).pointee.next = old.next
        } else {
            partial[Int(old.sizeClass)] = old.next
        }
    }

    /// What a block with room for `bytes` costs, in bytes: its class, its share of what the page loses and of
    /// its bookkeeping; whole pages for a large one.
    static func cost(_ bytes: Int) -> Int {
        guard bytes <= largestClassBytes else {
            return (bytes + PageArena.pageBytes - 1) / PageArena.pageBytes * PageArena.pageBytes
        }
        return costs[(bytes + 15) / 16]
    }

    private static let costs: [Int] = (0...256).map { sixteenths in
        let size = capacity(for: sixteenths * 16)
        let blocks = PageArena.pageBytes / size
        return (pageCost + blocks - 1) / blocks
    }

    /// A page of blocks and what is kept about it, in bytes.
    private static let pageCost = PageArena.pageBytes + MemoryLayout<Page>.stride

    /// The size of the class that holds `bytes`, in bytes.
    static func capacity(for bytes: Int) -> Int {
        for size in classes where size >= bytes { return size }
        return (bytes + PageArena.pageBytes - 1) / PageArena.pageBytes * PageArena.pageBytes
    }
}
