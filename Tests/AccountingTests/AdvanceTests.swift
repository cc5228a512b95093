import Accounting
import Basics
import Support
import Synchronization
import Telemetry
import Testing

/// What ledgers below one another take in advance, so that most operations touch one word.
@Suite("Ledgers that take in advance")
struct AdvanceTests {
    private let mount = QuotaLedger(limitBytes: 64 << 20, refusals: RefusalCounts())

    /// Two ledgers side by side below a directory's.
    private func below(_ level: QuotaLevel) -> (outer: QuotaLedger, first: QuotaLedger, second: QuotaLedger) {
        let outer = QuotaLedger(level, below: mount)
        return (
            outer, QuotaLedger(QuotaLevel(bytes: nil), below: outer),
            QuotaLedger(QuotaLevel(bytes: nil), below: outer)
        )
    }

    private func grow(_ charge: inout Charge, by bytes: Int) throws(Errno) {
        let reservation = try charge.ledger.reserve(bytes)
        reservation.commit(into: &charge, data: bytes, metadata: 0)
    }

    private func drop(_ charge: consuming Charge) {}

    @Test("what is held in advance is in use nowhere, and goes back when somebody asks")
    func exact() throws {
        let (outer, first, second) = below(QuotaLevel(bytes: 1 << 20, nodes: 1000))
        var one = Charge(to: first)
        var two = Charge(to: second)
        try grow(&one, by: 100)
        try grow(&two, by: 1000)
        try first.reserveNode().commit()
        #expect(first.advanceCount == 3)
        #expect(mount.usedBytes == 1100 && mount.level.usedNodes == 1 && first.advanceCount == 3)
        #expect(outer.usedBytes == 1100 && first.advanceCount == 0)
        #expect(first.usedBytes == 100 && second.usedBytes == 1000 && outer.level.usedNodes == 1)
        for _ in 0..<1000 {
            try grow(&one, by: 4000)
            one.shrink(data: -4000, metadata: 0)
        }
        #expect(first.advanceCount == 1 && outer.freeBytes == (1 << 20) - 1100 && first.advanceCount == 0)
        one.shrink(data: -100, metadata: 0)
        #expect(first.usedBytes == 0 && outer.usedBytes == 1000 && mount.usedBytes == 1000)
        first.giveBackNode()
        #expect(outer.level.usedNodes == 0 && first.freeNodes == 1000)
        // Directly below the mount's there is nothing to spare.
        var three = Charge(to: outer)
        try grow(&three, by: 100)
        #expect(first.advanceCount == 0)
    }

    @Test("nobody is refused for what another holds, and to the byte for what is used")
    func refusals() throws {
        let (outer, first, second) = below(QuotaLevel(bytes: 1 << 20, nodes: 80))
        var one = Charge(to: first)
        var two = Charge(to: second)
        try grow(&one, by: 100)
        try first.reserveNode().commit()
        #expect(first.advanceCount == 2)
        try grow(&two, by: (1 << 20) - 100)
        #expect(throws: Errno.diskQuotaExceeded) { _ = try second.reserve(1) }
        _ = RefusalNote.take()
        one.shrink(data: -50, metadata: 0)
        #expect(throws: Errno.diskQuotaExceeded) { _ = try second.reserve(51) }
        #expect(
            RefusalNote.take()
                == RefusalNote(.directory, at: outer.level.number, asked: 51, free: 50, limit: 1 << 20))
        try grow(&two, by: 50)
        for _ in 0..<79 { try second.reserveNode().commit() }
        #expect(throws: Errno.diskQuotaExceeded) { _ = try second.reserveNode() }
        #expect(outer.level.usedNodes == 80 && outer.usedBytes == 1 << 20 && mount.usedBytes == 1 << 20)
        // The mount's own refusal changes nothing below it.
        let rest = try mount.reserve((64 << 20) - (1 << 20))
        #expect(outer.level.setMaxBytes(nil, draining: false))
        #expect(throws: Errno.noSpace) { _ = try second.reserve(1) }
        #expect(outer.usedBytes == 1 << 20 && second.usedBytes == two.bytes && rest.bytes > 0)
    }

    @Test("a limit is compared with what is used, whatever is held")
    func limits() throws {
        let (outer, first, _) = below(QuotaLevel(bytes: nil))
        var one = Charge(to: first)
        try grow(&one, by: 100)
        try first.reserveNode().commit()
        #expect(!outer.level.setMaxBytes(99, draining: false))
        try grow(&one, by: 1)
        #expect(first.advanceCount == 1 && outer.level.setMaxBytes(101, draining: false))
        #expect(throws: Errno.diskQuotaExceeded) { _ = try first.reserve(1) }
        #expect(outer.level.setMaxNodes(1, draining: false) && !outer.level.setMaxNodes(0, draining: false))
    }

    @Test("a mark wakes at the byte that comes to it, upwards and downwards")
    func marks() throws {
        let rings = Counter()
        let (outer, first, second) = below(QuotaLevel(bytes: 1 << 20, waking: { rings.add() }))
        var one = Charge(to: first)
        var two = Charge(to: second)
        #expect(outer.level.mark(bytes: 0..<200_000, nodes: 0..<10))
        try grow(&two, by: 100)
        var advanced = 0
        while rings.value == 0, one.bytes < 1 << 20 {
            try grow(&one, by: 1000)
            advanced = max(advanced, first.advanceCount)
        }
        #expect(one.bytes == 200_000 && advanced > 0)
        let use = outer.level.takeUse().bytes
        #expect(use.reached == 200_100 && use.used == 200_100)
        #expect(outer.level.mark(bytes: 50_000..<300_000, nodes: 0..<10))
        while rings.value == 1, one.bytes > 0 {
            try grow(&one, by: 1)
            one.shrink(data: -1001, metadata: 0)
        }
        #expect(one.bytes == 49_000 && outer.usedBytes == 49_100)
    }

    @Test("what moves, or is set aside, counts as if nothing were held")
    func moving() throws {
        let (outer, first, second) = below(QuotaLevel(bytes: 200_000))
        var one = Charge(to: first)
        try grow(&one, by: 100)
        var two = Charge(to: second)
        try grow(&two, by: 100)
        try one.move(nodes: 0, to: second, leaving: nil)
        #expect(first.usedBytes == 0 && second.usedBytes == 200 && outer.usedBytes == 200)
        let aside = QuotaLevel(bytes: 300_000, isSetAside: true)
        try aside.hold(from: mount)
        let held = mount.usedBytes
        let own = QuotaLedger(aside, below: mount)
        let nested = QuotaLedger(QuotaLevel(bytes: nil), below: own)
        var three = Charge(to: nested)
        try grow(&three, by: 1000)
        #expect(nested.advanceCount > 0 && mount.usedBytes == held)
        // A directory that is full but for what another holds.
        try grow(&two, by: 199_800 - 70_000)
        try grow(&one, by: 1)
        one.shrink(data: -1, metadata: 0)
        var four = Charge(to: mount)
        try grow(&four, by: 70_000)
        try four.move(nodes: 0, to: first, leaving: nil)
        #expect(outer.usedBytes == 200_000)
        try grow(&three, by: 1)
        let before = mount.usedBytes
        aside.dissolve()
        #expect(mount.usedBytes == before - QuotaLevel.cost - 300_000 + 1001)
    }

    @Test("a ledger that ends gives back what it holds")
    func ending() throws {
        let outer = QuotaLedger(QuotaLevel(bytes: 1 << 20), below: mount)
        do {
            let inner = QuotaLedger(QuotaLevel(bytes: nil), below: outer)
            var charge = Charge(to: inner)
            try grow(&charge, by: 100)
            #expect(outer.advanceCount == 1)
            drop(charge)
        }
        #expect(outer.advanceCount == 0 && outer.usedBytes == 0)
    }

    @Test("not all may hold at once, and all that do give back")
    func many() throws {
        let outer = QuotaLedger(QuotaLevel(bytes: nil), below: mount)
        var kept: [QuotaLedger] = []
        for round in 1...1100 {
            let inner = QuotaLedger(QuotaLevel(bytes: nil), below: outer)
            var charge = Charge(to: inner)
            try grow(&charge, by: round)
            kept.append(inner)
            #expect(outer.advanceCount <= min(round, 1024))
            if round == 1100 { #expect(outer.advanceCount > 0 && outer.usedBytes == 1100) }
            drop(charge)
        }
        #expect(kept.count == 1100 && outer.usedBytes == 0)
    }

    @Test("threads that together stay within a limit are never refused, whoever looks meanwhile")
    func threads() {
        let share = 100_000
        let outer = QuotaLedger(QuotaLevel(bytes: 3 * share, nodes: 3 * 40), below: mount)
        let wrong = Atomic<Int>(0)
        let running = Atomic<Int>(3)
        Threads.together(4) { thread in
            guard thread < 3 else {
                while running.load(ordering: .acquiring) > 0 {
                    let (bytes, nodes) = (outer.usedBytes, outer.level.usedNodes)
                    if bytes > 3 * share || bytes < 0 || nodes > 120 || nodes < 0 {
                        wrong.wrappingAdd(1, ordering: .relaxed)
                    }
                }
                return
            }
            let own = QuotaLedger(QuotaLevel(bytes: nil), below: outer)
            for round in 0..<3000 {
                var charge = Charge(to: own)
                do throws(Errno) {
                    try grow(&charge, by: 1 + (round * 7919 + thread * 104_729) % (share / 2))
                    try grow(&charge, by: 1 + (round * 6007) % (share / 2))
                    var nodes = 0
                    defer { for _ in 0..<nodes { own.giveBackNode() } }
                    for _ in 0..<round % 41 {
                        try own.reserveNode().commit()
                        nodes += 1
                    }
                } catch {
                    wrong.wrappingAdd(1, ordering: .relaxed)
                }
            }
            running.wrappingSubtract(1, ordering: .releasing)
        }
        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(outer.usedBytes == 0 && outer.level.usedNodes == 0 && mount.usedBytes == 0)
        #expect(mount.level.usedNodes == 0)
    }
}
