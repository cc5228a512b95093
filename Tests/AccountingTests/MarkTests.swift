import Accounting
import Basics
import Glibc
import Support
import Synchronization
import Testing

@Suite("The marks of a level")
struct MarkTests {
    private final class Bell: Sendable {
        let count = Atomic<Int>(0)
        var rings: Int { count.load(ordering: .relaxed) }
    }

    private func ledger(_ bell: Bell) -> QuotaLedger {
        QuotaLedger(
            limitBytes: 100, nodes: 10, waking: { bell.count.wrappingAdd(1, ordering: .relaxed) })
    }

    @Test("use that comes to the upper mark wakes once, and use that falls below the lower one wakes once")
    func wakes() throws {
        let bell = Bell()
        let ledger = ledger(bell)
        #expect(ledger.level.mark(bytes: 20..<60, nodes: 0..<10) == false, "it is below")
        let base = try ledger.reserve(30)
        #expect(ledger.level.mark(bytes: 20..<60, nodes: 0..<10) && bell.rings == 0)
        do {
            let first = try ledger.reserve(29)
            #expect(bell.rings == 0)
            let second = try ledger.reserve(1)
            let third = try ledger.reserve(40)
            #expect(bell.rings == 1)
            let use = ledger.level.takeUse().bytes
            #expect(use.reached == 60 && use.used == 100 && use.limit == 100)
            #expect(ledger.level.takeUse().bytes.reached == 0)
            #expect(first.bytes + second.bytes + third.bytes == 70)
        }
        #expect(bell.rings == 1 && ledger.usedBytes == 30)
        #expect(ledger.level.mark(bytes: 31..<60, nodes: 0..<10) == false)
        #expect(ledger.level.mark(bytes: 30..<60, nodes: 0..<10))
        #expect(base.bytes == 30)
        drop(base)
        #expect(bell.rings == 2 && ledger.usedBytes == 0)
    }

    private func drop(_ reservation: consuming Reservation) {}

    @Test("nodes and changes of limits wake, and a level that nobody watches wakes nobody")
    func nodes() throws {
        let bell = Bell()
        let ledger = ledger(bell)
        #expect(ledger.level.mark(bytes: 0..<60, nodes: 0..<1))
        let node = try ledger.reserveNode()
        #expect(bell.rings == 1 && ledger.level.takeUse().nodes.reached == 1)
        #expect(ledger.level.mark(bytes: 0..<60, nodes: 1..<9))
        drop(node)
        #expect(bell.rings == 2)
        #expect(ledger.level.setMaxBytes(50, draining: false) && bell.rings == 3)
        #expect(ledger.level.setMaxNodes(nil, draining: false) && bell.rings == 4)
        let quiet = QuotaLedger(limitBytes: 100)
        #expect(quiet.level.mark(bytes: 0..<1, nodes: 0..<1) && quiet.level.wake == nil)
        #expect(try quiet.reserve(100).bytes == 100)
    }

    private func drop(_ reservation: consuming NodeReservation) {}

    @Test("however many threads come to a mark at once, one of them wakes")
    func threads() {
        let bell = Bell()
        let ledger = QuotaLedger(
            limitBytes: 1 << 40, waking: { bell.count.wrappingAdd(1, ordering: .relaxed) })
        let arrived = Atomic<Int>(0)
        let wrong = Atomic<Int>(0)
        let meet = { @Sendable (number: Int) in
            arrived.wrappingAdd(1, ordering: .acquiringAndReleasing)
            while arrived.load(ordering: .acquiring) < number { sched_yield() }
        }
        Threads.together(2) { thread in
            for round in 0..<3000 {
                if thread == 0, !ledger.level.mark(bytes: 0..<1000, nodes: 0..<10) {
                    wrong.wrappingAdd(1, ordering: .relaxed)
                }
                meet(round * 6 + 2)
                guard let held = try? ledger.reserve(1000) else { return }
                meet(round * 6 + 4)
                if thread == 0, bell.rings != round + 1 { wrong.wrappingAdd(1, ordering: .relaxed) }
                drop(held)
                meet(round * 6 + 6)
            }
        }
        #expect(bell.rings == 3000 && wrong.load(ordering: .relaxed) == 0)
    }
}
