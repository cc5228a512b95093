import Accounting
import Basics
import Storage
import Support
import Testing

@Suite("Xattrs")
struct ExtendedAttributesTests {
    private func value(
        of name: [UInt8], in attributes: borrowing ExtendedAttributes, _ memory: Memory
    ) -> [UInt8]? {
        var found: [UInt8]?
        _ = name.withRawSpan { name in
            attributes.withValue(of: name, in: memory) { value in
                found = (0..<value.byteCount).map { value.byte(at: $0) }
            }
        }
        return found
    }

    @Test("setting, replacing and removing, each charged exactly; refusals change nothing")
    func lifecycle() throws {
        let ledger = QuotaLedger(limitBytes: 100_000)
        let memory = try Memory(policy: StoragePolicy(), ledger: ledger, addressBytes: 64 << 20)
        var charge = Charge(to: ledger)
        var attributes = ExtendedAttributes()
        let large = [UInt8](repeating: 3, count: 65_536)
        for (name, bytes) in [("user.a", [1, 2]), ("user.b", large), ("user.a", [9])] {
            try Array(name.utf8).withRawSpan { (name) throws(Errno) in
                try bytes.withRawSpan { (value) throws(Errno) in
                    try attributes.set(name, to: value, [], in: memory, charge: &charge)
                }
            }
            #expect(attributes.auditedCost(in: memory) == charge.bytes)
        }
        #expect(value(of: Array("user.a".utf8), in: attributes, memory) == [9])
        #expect(value(of: Array("user.b".utf8), in: attributes, memory) == large)
        let before = ledger.usedBytes
        var refused: Errno?
        do throws(Errno) {
            try Array("user.c".utf8).withRawSpan { (name) throws(Errno) in
                try large.withRawSpan { (value) throws(Errno) in
                    try attributes.set(name, to: value, [], in: memory, charge: &charge)
                }
            }
        } catch {
            refused = error
        }
        #expect(refused == .noSpace)
        #expect(ledger.usedBytes == before)
        attributes.free(in: memory, charge: &charge)
        #expect(ledger.usedBytes == 0)
    }
}

@Suite("The map of free units")
struct FreeMapTests {
    @Test("random takes and releases agree with a set, and the lowest comes first")
    func randomUse() throws {
        let seed = Generator.seed(usual: 5)
        var random = Generator(seed: seed)
        var map = try FreeMap(capacity: 20_000)
        var taken = Set<Int>()
        for step in 0..<4000 {
            if random.chance(60), taken.count < 19_000 {
                let wanted = 1 + random.below(300)
                let range = try map.takeRun(upTo: wanted)
                let lowest = (0..<20_000).first { !taken.contains($0) }
                #expect(range.lowerBound == lowest, "seed \(seed), step \(step)")
                let isDisjoint = taken.isDisjoint(with: range)
                #expect(isDisjoint, "seed \(seed), step \(step)")
                #expect(
                    range.count == wanted || taken.contains(range.upperBound) || range.upperBound == 20_000)
                taken.formUnion(range)
            } else if let unit = taken.min(by: { $0 &* 7919 % 1009 < $1 &* 7919 % 1009 }) {
                let count = (1...64).first { !taken.contains(unit + $0) } ?? 64
                map.release(unit..<unit + count)
                taken.subtract(unit..<unit + count)
            }
        }
    }

    @Test("a full map says so")
    func full() throws {
        var map = try FreeMap(capacity: 100)
        #expect(try map.takeRun(upTo: 200) == 0..<100)
        #expect(throws: Errno.noSpace) { _ = try map.takeRun(upTo: 1) }
        map.release(70..<71)
        #expect(try map.takeRun(upTo: 5) == 70..<71)
    }
}
