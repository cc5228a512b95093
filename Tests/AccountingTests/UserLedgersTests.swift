import Accounting
import Basics
import Testing

@Suite("The ledgers of users")
struct UserLedgersTests {
    private let mount = QuotaLedger(limitBytes: 10_000, refusals: RefusalCounts())

    @Test("without a limit what is charged is charged as it was; with one there is one ledger for a pair")
    func pairs() throws {
        let users = UserLedgers()
        #expect(users.isEmpty && users.ledger(for: 7, below: mount) === mount)
        let level = QuotaLevel(bytes: 100, of: 7)
        users.insert(level)
        let own = users.ledger(for: 7, below: mount)
        #expect(own !== mount && own.base === mount && own.level === level && own.depth == mount.depth)
        #expect(users.ledger(for: 7, below: mount) === own && users.ledger(for: 8, below: mount) === mount)
        let job = QuotaLedger(QuotaLevel(bytes: 50), below: mount)
        let inJob = users.ledger(for: 7, below: job)
        #expect(inJob !== own && inJob.base === job)
        #expect(users.ledger(for: 7, below: job) === inJob)
        users.remove(level)
        #expect(users.isEmpty && users.ledger(for: 7, below: mount) === mount)
    }

    @Test("the user's level counts beside the others, also where bytes were set aside, and refuses by name")
    func levels() throws {
        let users = UserLedgers()
        let level = QuotaLevel(bytes: 100, nodes: 1, of: 7)
        users.insert(level)
        let job = QuotaLedger(QuotaLevel(bytes: 500, isSetAside: true), below: mount)
        let own = users.ledger(for: 7, below: job)
        var charge = Charge(to: own)
        try own.reserve(60).commit(into: &charge, data: 60, metadata: 0)
        #expect(level.usedBytes == 60 && job.usedBytes == 60 && mount.usedBytes == 0)
        _ = RefusalNote.take()
        #expect(throws: Errno.diskQuotaExceeded) { _ = try own.reserve(41) }
        #expect(
            RefusalNote.take() == RefusalNote(.user, at: level.number, asked: 41, free: 40, limit: 100))
        try own.reserveNode().commit()
        #expect(throws: Errno.diskQuotaExceeded) { _ = try own.reserveNode() }
        #expect(RefusalNote.take()?.kind == .user && level.usedNodes == 1 && job.level.usedNodes == 1)
        try charge.move(nodes: 1, to: users.ledger(for: 7, below: mount), leaving: nil)
        #expect(level.usedBytes == 60 && level.usedNodes == 1 && job.usedBytes == 0 && mount.usedBytes == 60)
        mount.giveBackNode()
        drop(charge)
        #expect(level.usedBytes == 0)
    }

    private func drop(_ charge: consuming Charge) {}

    @Test("the way back of a charge that has moved keeps its room until it ends")
    func wayBack() throws {
        let users = UserLedgers()
        let (first, second) = (QuotaLevel(bytes: 100, of: 7), QuotaLevel(bytes: 100, of: 8))
        users.insert(first)
        users.insert(second)
        var charge = Charge(to: users.ledger(for: 7, below: mount))
        try charge.ledger.reserve(80).commit(into: &charge, data: 80, metadata: 0)
        var wayBack: Transfer? = charge.commit(
            try charge.transfer(to: users.ledger(for: 8, below: mount), nodes: 0))
        #expect(first.usedBytes == 80 && second.usedBytes == 80 && mount.usedBytes == 80)
        if let way = wayBack.take() { charge.commit(way) }
        #expect(first.usedBytes == 80 && second.usedBytes == 0)
        charge.commit(try charge.transfer(to: users.ledger(for: 8, below: mount), nodes: 0))
        #expect(first.usedBytes == 0 && second.usedBytes == 80 && mount.usedBytes == 80)
        drop(charge)
    }

    @Test("what nothing is charged to ends, takes nothing, and holds no level that is gone")
    func sweep() throws {
        let users = UserLedgers()
        users.insert(QuotaLevel(bytes: 100, of: 7))
        let slack = mount.slack.bytes
        let kept = users.ledger(for: 7, below: mount)
        let cost = mount.slack.bytes - slack
        weak var gone: QuotaLevel?
        for _ in 0..<1000 {
            let level = QuotaLevel(bytes: 50)
            _ = users.ledger(for: 7, below: QuotaLedger(level, below: mount))
            gone = level
        }
        #expect(gone == nil && cost > 0 && mount.slack.bytes == slack + cost)
        #expect(users.entryCount < 200 && users.ledger(for: 7, below: mount) === kept)
    }
}
