import Accounting
import Basics
import Storage
import Support
import Testing

/// A directory's names on memory of their own.
final class StoredNames {
    let memory: Memory
    let ledger: QuotaLedger
    var names = NameMap()
    var charge: Charge

    init(hashBits: Int = NameMap.hashBits, limitBytes: Int = 512 << 20) throws {
        ledger = QuotaLedger(limitBytes: limitBytes)
        memory = try Memory(
            policy: StoragePolicy(), ledger: ledger, addressBytes: 1 << 30, nameHashBits: hashBits)
        charge = Charge(to: ledger)
    }

    func insert(_ name: [UInt8], _ node: UInt64) throws(Errno) {
        try name.withRawSpan { (name) throws(Errno) in
            try names.insert(name, NodeID(rawValue: node), .regular, in: memory, charge: &charge)
        }
    }

    func find(_ name: [UInt8]) -> UInt64? {
        name.withRawSpan { names.find($0, in: memory)?.node.rawValue }
    }

    func remove(_ name: [UInt8]) -> UInt64? {
        name.withRawSpan { names.remove($0, in: memory, charge: &charge)?.node.rawValue }
    }

    /// All names behind `cookie`, with their cookies.
    func listing(after cookie: UInt64 = 0, most: Int = .max) -> [(name: [UInt8], cookie: UInt64)] {
        var found: [(name: [UInt8], cookie: UInt64)] = []
        names.forEach(after: cookie, in: memory) { name, entry in
            if found.count == most { return false }
            found.append(((0..<name.byteCount).map { name.byte(at: $0) }, entry.cookie))
            return true
        }
        return found
    }

    var isChargedExactly: Bool {
        names.auditedCost(in: memory) == charge.bytes && ledger.usedBytes == charge.bytes
            && ledger.reservedBytes == 0
    }
}

@Suite("The names of a directory")
struct NameMapTests {
    static func name(_ number: Int, bytes: Int = 12) -> [UInt8] {
        let digits = Array(String(number).utf8)
        return [UInt8](repeating: 0x61, count: max(0, bytes - digits.count)) + digits
    }

    @Test("random insertions and removals leave what a dictionary has", arguments: [54, 6, 4])
    func randomChanges(hashBits: Int) throws {
        let seed = Generator.seed(usual: UInt64(hashBits))
        var random = Generator(seed: seed)
        let map = try StoredNames(hashBits: hashBits)
        var expected: [[UInt8]: UInt64] = [:]
        for step in 0..<12_000 {
            let growing = (step / 3000) % 2 == 0
            let name = Self.name(random.below(2500), bytes: 1 + random.below(255))
            if expected[name] == nil, random.chance(growing ? 80 : 20) {
                do throws(Errno) {
                    try map.insert(name, UInt64(step))
                    expected[name] = UInt64(step)
                } catch {
                    // With few hash bits a group of 256 fills up.
                    #expect(error == .noSpace && hashBits < 54)
                }
            } else {
                let removed = map.remove(name)
                #expect(removed == expected.removeValue(forKey: name), "seed \(seed), step \(step)")
            }
            if step % 500 == 0 { try #require(map.isChargedExactly, "seed \(seed), step \(step)") }
        }
        for (name, node) in expected { #expect(map.find(name) == node, "seed \(seed)") }
        #expect(map.listing().count == expected.count)
        for name in expected.keys { _ = map.remove(name) }
        #expect(map.ledger.usedBytes == 0)
        #expect(map.memory.policy.kind == .auto)
    }

    @Test("a listing in pieces sees each name once, while others come and go")
    func listingWhileChanging() throws {
        let map = try StoredNames()
        let stable = (0..<3000).map { Self.name($0) }
        for (index, name) in stable.enumerated() { try map.insert(name, UInt64(index)) }
        var seen: [[UInt8]: Int] = [:]
        var cookie: UInt64 = 0
        var other = 10_000
        while true {
            let piece = map.listing(after: cookie, most: 7)
            guard let last = piece.last else { break }
            cookie = last.cookie
            for entry in piece { seen[entry.name, default: 0] += 1 }
            try map.insert(Self.name(other), 1)
            if other % 2 == 0 { _ = map.remove(Self.name(other - 5)) }
            other += 1
        }
        for name in stable { #expect(seen[name] == 1) }
        while map.names.count > 0 { _ = map.remove(map.listing(most: 1)[0].name) }
    }

    @Test("what a small directory costs does not depend on what has been")
    func noHistory() throws {
        let map = try StoredNames()
        for number in 0..<5 { try map.insert(Self.name(number), 1) }
        let before = map.ledger.usedBytes
        for number in 100..<4000 { try map.insert(Self.name(number), 1) }
        for number in 100..<4000 { _ = map.remove(Self.name(number)) }
        #expect(map.ledger.usedBytes == before)
        for number in 0..<5 { _ = map.remove(Self.name(number)) }
        #expect(map.ledger.usedBytes == 0)
    }

    @Test("an insertion that does not fit changes nothing, at whatever point it is refused")
    func refusals() throws {
        for limit in stride(from: 20, to: 60_000, by: 977) {
            let map = try StoredNames(limitBytes: limit)
            var count = 0
            while true {
                let before = map.ledger.usedBytes
                do throws(Errno) {
                    try map.insert(Self.name(count, bytes: 100), UInt64(count))
                    count += 1
                } catch {
                    #expect(error == .noSpace)
                    #expect(map.ledger.usedBytes == before, "limit \(limit), name \(count)")
                    #expect(map.isChargedExactly)
                    break
                }
            }
            for number in 0..<count { #expect(map.remove(Self.name(number, bytes: 100)) == UInt64(number)) }
            #expect(map.ledger.usedBytes == 0)
        }
    }
}
