import Basics

/// Pages that were taken and have no owner yet: those not handed out are freed on `deinit`.
///
/// They may be as scattered as what is free, and as many as one fallocate(2) asks for. So the runs are
/// chained through their own pages: the first page of each tells where the next run is, and a stash has no
/// memory of its own. Pages are added first, and then handed out, in the order in which they were added.
struct PageStash: ~Copyable {
    private let memory: Memory
    private var current = PageRun(first: 0, count: 0, isDirty: false)
    /// The run behind the current one, once the page that told of it has been handed out.
    private var upcoming: PageRun?
    /// The first page of the run that was added last.
    private var last: UInt32 = 0
    private(set) var count = 0

    init(of memory: Memory) {
        self.memory = memory
    }

    mutating func add(_ run: PageRun) {
        if count == 0 {
            current = run
        } else {
            let note = unsafe memory.address(ofPage: last)
            unsafe note.storeBytes(of: run.count, as: Int.self)
            unsafe note.storeBytes(of: run.first, toByteOffset: 8, as: UInt32.self)
            unsafe note.storeBytes(of: run.isDirty ? 1 : 0, toByteOffset: 12, as: UInt32.self)
        }
        last = run.first
        count += run.count
    }

    /// Hands out one page, and says whether it may hold old bytes.
    mutating func next() -> (page: UInt32, isDirty: Bool) {
        readNote()
        let page = current.first
        let isDirty = current.isDirty
        current.first += 1
        current.count -= 1
        count -= 1
        if current.count == 0 { advance() }
        return (page, isDirty)
    }

    /// Takes what the first page of the current run tells, before that page is somebody's. Fresh pages read
    /// as zeros again afterwards.
    private mutating func readNote() {
        guard upcoming == nil, count > current.count else { return }
        upcoming = PageStash.run(behind: current, memory)
        let note = unsafe memory.address(ofPage: current.first)
        unsafe note.storeBytes(of: 0, as: UInt64.self)
        unsafe note.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
    }

    /// What the first page of a run tells of the next.
    private static func run(behind run: PageRun, _ memory: Memory) -> PageRun {
        let note = unsafe memory.address(ofPage: run.first)
        return unsafe PageRun(
            first: note.load(fromByteOffset: 8, as: UInt32.self), count: note.load(as: Int.self),
            isDirty: note.load(fromByteOffset: 12, as: UInt32.self) != 0)
    }

    private mutating func advance() {
        guard let run = upcoming else { return }
        current = run
        upcoming = nil
    }

    deinit {
        var run = current
        var following = upcoming
        var left = count
        while left > 0 {
            left -= run.count
            // Before the page is given back.
            let next = left > 0 ? following ?? PageStash.run(behind: run, memory) : nil
            memory.freePages(run.first, count: run.count)
            guard let next else { break }
            run = next
            following = nil
        }
    }
}
