import Accounting
import Basics
import Telemetry
import Testing

@Suite("The ledger")
struct LedgerTests {
    @Test("what does not fit is refused and changes nothing")
    func refusal() throws {
        let refusals = RefusalCounts()
        let ledger = QuotaLedger(limitBytes: 100, refusals: refusals)
        let held = try ledger.reserve(60)
        #expect(throws: Errno.noSpace) { _ = try ledger.reserve(41) }
        #expect(ledger.usedBytes == 60)
        #expect(refusals.bytes.value == 1)
        #expect(held.bytes == 60)
    }

    @Test("a refusal leaves its figures on the thread, and is withdrawn from the count that it is in")
    func notes() throws {
        let refusals = RefusalCounts()
        let mount = QuotaLedger(
            limitBytes: 100, nodes: 1, refusingNodesWith: .noSpace, refusals: refusals)
        let job = QuotaLedger(QuotaLevel(bytes: 50), below: mount)
        let held = try mount.reserve(30)
        // What another test on this thread has left.
        _ = RefusalNote.take()
        #expect(throws: Errno.noSpace) { _ = try mount.reserve(71) }
        let note = RefusalNote(.bytes, at: mount.level.number, asked: 71, free: 70, limit: 100)
        #expect(RefusalNote.take() == note && RefusalNote.take() == nil)
        #expect(throws: Errno.diskQuotaExceeded) { _ = try job.reserve(51) }
        #expect(
            RefusalNote.take()
                == RefusalNote(.directory, at: job.level.number, asked: 51, free: 50, limit: 50))
        let node = try mount.reserveNode()
        #expect(throws: Errno.noSpace) { _ = try mount.reserveNode() }
        #expect(refusals.nodes.value == 1 && refusals.bytes.value == 1)
        mount.withdrawRefusal()
        #expect(refusals.nodes.value == 0 && refusals.bytes.value == 1, "not by its errno")
        mount.withdrawRefusal()
        #expect(refusals.nodes.value == 0 && refusals.bytes.value == 1, "once")
        #expect(held.bytes == 30)
        drop(node)
    }

    private func drop(_ node: consuming NodeReservation) {}

    @Test("a reservation that is dropped returns its bytes")
    func dropped() throws {
        let ledger = QuotaLedger(limitBytes: 100)
        do {
            let held = try ledger.reserve(60)
            #expect(ledger.reservedBytes == held.bytes)
        }
        #expect(ledger.usedBytes == 0)
        #expect(ledger.reservedBytes == 0)
        #expect(ledger.peakBytes == 60)
    }

    @Test("a charge keeps what was committed, by use, until it ends")
    func committed() throws {
        let ledger = QuotaLedger(limitBytes: 100)
        do {
            var charge = Charge(to: ledger)
            let held = try ledger.reserve(60)
            held.commit(into: &charge, data: 40, metadata: 10)
            #expect(ledger.usedBytes == 50)
            #expect(ledger.dataBytes == 40)
            #expect(ledger.reservedBytes == 0)
            charge.shrink(data: -40, metadata: 5)
            #expect(ledger.usedBytes == 15)
            #expect(ledger.dataBytes == 0)
            #expect(charge.bytes == 15)
        }
        #expect(ledger.usedBytes == 0)
    }

    @Test("every level must agree, and the level that refuses names the errno")
    func levels() throws {
        let refusals = RefusalCounts()
        let mount = QuotaLedger(limitBytes: 100, refusals: refusals)
        let job = QuotaLedger(QuotaLevel(bytes: 50), below: mount)
        #expect(throws: Errno.diskQuotaExceeded) { _ = try job.reserve(51) }
        #expect(mount.usedBytes == 0)
        let other = try mount.reserve(80)
        #expect(throws: Errno.noSpace) { _ = try job.reserve(30) }
        #expect(job.usedBytes == 0)
        #expect(mount.usedBytes == other.bytes)
        do {
            var charge = Charge(to: job)
            let held = try job.reserve(20)
            held.commit(into: &charge, data: 20, metadata: 0)
            #expect(job.usedBytes == 20)
            #expect(mount.dataBytes == 20)
        }
        #expect(job.usedBytes == 0)
        #expect(mount.usedBytes == 80)
        #expect(refusals.directory.value == 1)
        #expect(refusals.bytes.value == 1)
    }

    @Test("a limit moves both ways, below use only to drain")
    func resize() throws {
        let ledger = QuotaLedger(limitBytes: 100)
        var charge = Charge(to: ledger)
        let held = try ledger.reserve(60)
        held.commit(into: &charge, data: 60, metadata: 0)
        #expect(!ledger.level.setMaxBytes(59, draining: false))
        #expect(ledger.limitBytes == 100)
        #expect(ledger.level.setMaxBytes(60, draining: false))
        #expect(throws: Errno.noSpace) { _ = try ledger.reserve(1) }
        #expect(ledger.level.setMaxBytes(40, draining: true))
        #expect(throws: Errno.noSpace) { _ = try ledger.reserve(1) }
        #expect(try ledger.reserve(0).bytes == 0)
        charge.shrink(data: -30, metadata: 0)
        #expect(try ledger.reserve(10).bytes == 10)
        #expect(throws: Errno.noSpace) { _ = try ledger.reserve(11) }
        #expect(ledger.level.setMaxBytes(nil, draining: false))
        #expect(try ledger.reserve(1 << 60).bytes == 1 << 60)
    }

    @Test("a limit that moves under many threads holds at every moment")
    func resizeUnderUse() async throws {
        let ledger = QuotaLedger(limitBytes: 1000)
        await withTaskGroup(of: Int.self) { group in
            for seed in 0..<4 { group.addTask { churn(ledger, seed: UInt64(seed)) } }
            group.addTask {
                var seen = 0
                for round in 0..<20_000
                where ledger.level.setMaxBytes(200 + round * 97 % 800, draining: false) {
                    seen = max(seen, ledger.usedBytes - ledger.limitBytes)
                }
                return seen
            }
            for await seen in group { #expect(seen <= 1000) }
        }
        #expect(ledger.usedBytes == 0 && ledger.reservedBytes == 0)
    }

    @Test("many threads never get past the limit, and the sum is exact")
    func threads() async throws {
        let ledger = QuotaLedger(limitBytes: 1000)
        await withTaskGroup(of: Int.self) { group in
            for seed in 0..<8 {
                group.addTask { churn(ledger, seed: UInt64(seed)) }
            }
            for await seen in group { #expect(seen <= 1000) }
        }
        #expect(ledger.usedBytes == 0)
        #expect(ledger.peakBytes <= 1000)
    }
}

/// Reserves and gives back; returns the highest use that was seen.
private func churn(_ ledger: QuotaLedger, seed: UInt64) -> Int {
    var highest = 0
    for round in 0..<20_000 {
        do throws(Errno) {
            let held = try ledger.reserve(Int((UInt64(round) &* 31 &+ seed &* 17) % 400))
            highest = max(highest, ledger.usedBytes)
            if held.bytes == 399 { continue }
        } catch {
            highest = max(highest, ledger.usedBytes)
        }
    }
    return highest
}

@Suite("Nodes")
struct NodeTests {
    @Test("the node that is one too many is refused with the errno that was chosen")
    func refusal() throws {
        let refusals = RefusalCounts()
        let ledger = QuotaLedger(
            limitBytes: 1, nodes: 1, refusingNodesWith: .diskQuotaExceeded, refusals: refusals)
        try ledger.reserveNode().commit()
        #expect(throws: Errno.diskQuotaExceeded) { _ = try ledger.reserveNode() }
        #expect(ledger.level.usedNodes == 1)
        #expect(refusals.nodes.value == 1)
        ledger.giveBackNode()
        try ledger.reserveNode().commit()
        #expect(ledger.level.usedNodes == 1)
    }

    @Test("their limit moves both ways, below use only to drain")
    func resize() throws {
        let ledger = QuotaLedger(limitBytes: 1)
        let level = ledger.level
        try ledger.reserveNode().commit()
        #expect(ledger.freeNodes == .max, "there is none")
        try ledger.reserveNode().commit()
        #expect(!level.setMaxNodes(1, draining: false) && level.maxNodes == nil)
        #expect(level.setMaxNodes(1, draining: true) && level.maxNodes == 1)
        ledger.giveBackNode()
        #expect(throws: Errno.tooManyOpenFiles) { _ = try ledger.reserveNode() }
        #expect(level.setMaxNodes(2, draining: false))
        try ledger.reserveNode().commit()
    }

    @Test("a node that does not come to be is given back")
    func dropped() throws {
        let ledger = QuotaLedger(limitBytes: 1, nodes: 1)
        do { _ = try ledger.reserveNode() }
        #expect(ledger.level.usedNodes == 0)
    }

    @Test("every level must agree, and the one that refuses names the errno")
    func levels() throws {
        let refusals = RefusalCounts()
        let mount = QuotaLedger(limitBytes: 1, nodes: 3, refusals: refusals)
        let job = QuotaLedger(QuotaLevel(bytes: nil, nodes: 2), below: mount)
        try mount.reserveNode().commit()
        try job.reserveNode().commit()
        try mount.reserveNode().commit()
        #expect(throws: Errno.tooManyOpenFiles) { _ = try job.reserveNode() }
        mount.giveBackNode()
        try job.reserveNode().commit()
        #expect(throws: Errno.diskQuotaExceeded) { _ = try job.reserveNode() }
        #expect(job.level.usedNodes == 2 && mount.level.usedNodes == 3 && job.freeNodes == 0)
        #expect(refusals.nodes.value == 1 && refusals.directory.value == 1)
    }
}
