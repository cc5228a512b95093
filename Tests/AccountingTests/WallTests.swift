import Accounting
import Basics
import Synchronization
import Testing

@Suite("The second wall")
struct WallTests {
    /// A filesystem that holds what it is told it holds.
    private final class Store: Sendable {
        let size = Atomic<Int>(0)
        let used = Atomic<Int>(0)
        let moves = Atomic<Int>(0)

        func resize(_ bytes: Int) -> Bool {
            guard bytes >= used.load(ordering: .relaxed) else { return false }
            size.store(bytes, ordering: .relaxed)
            moves.wrappingAdd(1, ordering: .relaxed)
            return true
        }
    }

    private static let limit = 64 << 20
    private let store = Store()
    private let wall: Wall
    private let ledger: QuotaLedger

    init() {
        let store = store
        wall = Wall(limitBytes: Self.limit) {
            store.resize($0)
        } used: {
            store.used.load(ordering: .relaxed)
        }
        ledger = QuotaLedger(limitBytes: Self.limit, wall: wall)
    }

    private var room: Int { Self.limit - wall.metadataBytes - store.size.load(ordering: .relaxed) }

    @Test("it moves in steps as metadata grows and falls, and never leaves too much")
    func steps() throws {
        var charge = Charge(to: ledger)
        for _ in 0..<10_000 {
            try ledger.reserve(300).commit(into: &charge, data: 0, metadata: 300)
            #expect(room >= 0)
        }
        #expect(wall.metadataBytes == 3_000_000)
        #expect(store.moves.load(ordering: .relaxed) < 60, "a step holds many nodes")
        charge.shrink(data: 0, metadata: -3_000_000)
        #expect(room >= 0 && room < 300_000)
        wall.widen()
        #expect(room == 0)
        #expect(store.size.load(ordering: .relaxed) == Self.limit)
    }

    @Test("metadata is refused where the bytes are there already, and then nothing has changed")
    func refusal() throws {
        store.used.store(Self.limit - 8192, ordering: .relaxed)
        var charge = Charge(to: ledger)
        try ledger.reserve(8000).commit(into: &charge, data: 0, metadata: 8000)
        #expect(room >= 0)
        #expect(throws: Errno.noSpace) { _ = try ledger.reserve(200) }
        #expect(wall.metadataBytes == 8000 && ledger.usedBytes == 8000 && ledger.reservedBytes == 0)
        // Bytes that lie behind the wall are not its business.
        _ = try ledger.reserve(4096, behindWall: true)
        store.used.store(0, ordering: .relaxed)
        try ledger.reserve(200).commit(into: &charge, data: 0, metadata: 200)
        #expect(room >= 0)
    }

    @Test("a directory's metadata counts once")
    func below() throws {
        let job = QuotaLedger(QuotaLevel(bytes: 1 << 20), below: ledger)
        var charge = Charge(to: job)
        try job.reserve(5000).commit(into: &charge, data: 0, metadata: 3000)
        #expect(wall.metadataBytes == 3000)
        charge.shrink(data: 0, metadata: -1000)
        #expect(wall.metadataBytes == 2000)
    }

    @Test("while it is held nothing grows, and what is freed does not grow again")
    func held() {
        store.used.store(10 << 20, ordering: .relaxed)
        wall.hold(true)
        #expect(store.size.load(ordering: .relaxed) == 10 << 20)
        wall.widen()
        #expect(store.size.load(ordering: .relaxed) == 10 << 20)
        store.used.store(4 << 20, ordering: .relaxed)
        wall.hold(true)
        #expect(store.size.load(ordering: .relaxed) == 4 << 20)
        wall.hold(false)
        #expect(room >= 0 && store.size.load(ordering: .relaxed) > 60 << 20)
    }

    @Test("it follows the limit, and a limit that drains")
    func limits() {
        store.used.store(20 << 20, ordering: .relaxed)
        #expect(!wall.setLimit(16 << 20, draining: false))
        #expect(store.size.load(ordering: .relaxed) == Self.limit)
        #expect(wall.setLimit(16 << 20, draining: true))
        #expect(store.size.load(ordering: .relaxed) == 20 << 20)
        store.used.store(18 << 20, ordering: .relaxed)
        var charge = Charge(to: ledger)
        charge.takeOver(data: 4096)
        #expect(store.size.load(ordering: .relaxed) == 18 << 20, "it follows what is freed")
        store.used.store(1 << 20, ordering: .relaxed)
        charge.shrink(data: -4096, metadata: 0)
        #expect(store.size.load(ordering: .relaxed) == 16 << 20)
        #expect(wall.setLimit(100 << 20, draining: false))
        #expect(store.size.load(ordering: .relaxed) > 99 << 20)
    }

    @Test("many threads that take and give back metadata never leave too much")
    func threads() async throws {
        let ledger = ledger
        let wall = wall
        let store = store
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var isRight = true
                    for round in 0..<2000 {
                        guard let held = try? ledger.reserve(1000 * (1 + round % 700)) else { continue }
                        let total = wall.metadataBytes + store.size.load(ordering: .relaxed)
                        // Of two figures that are read one after the other: a move may be between them.
                        isRight = isRight && total <= Self.limit + (4 << 20) && held.bytes > 0
                    }
                    return isRight
                }
            }
            for await isRight in group { #expect(isRight) }
        }
        #expect(wall.metadataBytes == 0 && ledger.reservedBytes == 0)
        #expect(room >= 0)
    }
}
