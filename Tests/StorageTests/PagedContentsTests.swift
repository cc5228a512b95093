import Accounting
import Basics
import Storage
import Support
import Testing

@Suite("The contents of a file")
struct PagedContentsTests {
    @Test(
        "random operations leave the bytes that an array has, and are charged exactly",
        arguments: [1, 2, 3, 4])
    func randomOperations(usual: UInt64) throws {
        let seed = Generator.seed(usual: usual)
        var random = Generator(seed: seed)
        let policy = StoragePolicy(kind: usual % 2 == 0 ? .randomAccess : .auto, keptFreeBytes: 1 << 20)
        let file = try StoredFile(policy, limitBytes: usual > 2 ? 200_000 : 8 << 20)
        for step in 0..<1500 {
            try randomStep(on: file, &random)
            try #require(file.isChargedExactly, "seed \(seed), step \(step)")
            if step % 50 == 0 { try #require(file.isAsExpected(), "seed \(seed), step \(step)") }
        }
        #expect(file.isAsExpected(pieceBytes: 4097), "seed \(seed)")
        try file.truncate(to: 0)
        #expect(file.ledger.usedBytes == 0, "seed \(seed)")
    }

    /// One operation; a refusal must leave the file as it was, which the caller checks.
    private func randomStep(on file: StoredFile, _ random: inout Generator) throws {
        let place = random.below(400_000)
        let count = 1 + random.below(random.chance(30) ? 60_000 : 3000)
        let before = file.ledger.usedBytes
        do throws(Errno) {
            switch random.below(10) {
            case 0, 1, 2: try file.write(random.bytes(count), at: file.expected.count)
            case 3, 4: try file.write(random.bytes(count), at: place)
            case 5: try file.write(random.bytes(count), at: random.below(file.expected.count + 1))
            case 6: try file.truncate(to: random.below(file.expected.count + 5000))
            case 7: try file.punch(place..<place + count)
            case 8: try file.allocate(place..<place + count)
            default: try file.zero(place..<place + count)
            }
        } catch {
            #expect(error == .noSpace)
            #expect(file.ledger.usedBytes <= before)
        }
    }

    @Test("a million one-byte appends cost their bytes and a small overhead")
    func appendsCoalesce() throws {
        let file = try StoredFile()
        for index in 0..<1_000_000 { try file.write([UInt8(truncatingIfNeeded: index)], at: index) }
        #expect(file.ledger.usedBytes < 1_010_000)
        #expect(file.isSequential)
        #expect(file.isAsExpected())
        #expect(file.isChargedExactly)
    }

    @Test("a small file is not rounded up to a page")
    func smallFiles() throws {
        let file = try StoredFile()
        try file.write([UInt8](repeating: 7, count: 100), at: 0)
        #expect(file.dataBytes == 112)
        #expect(file.ledger.usedBytes == 112 + 3 + 128)
    }

    @Test("holes cost nothing, even in a file of exbibytes")
    func holes() throws {
        let file = try StoredFile(StoragePolicy(kind: .randomAccess))
        let (memory, ledger) = (file.memory, file.ledger)
        var contents = PagedContents(StoragePolicy(kind: .randomAccess))
        var charge = Charge(to: ledger)
        let far = Int.max - 10
        try [9].withRawSpan { (byte) throws(Errno) in
            try contents.write(byte, at: far, size: 0, in: memory, charge: &charge)
        }
        #expect(ledger.usedBytes < 40_000)
        var read: [UInt8] = []
        contents.read(far - 3..<far + 1, in: memory) { read = $0.copied() }
        #expect(read == [0, 0, 0, 9])
        #expect(try contents.seek(.data, from: 0, size: far + 1, in: memory) == far / 4096 * 4096)
        #expect(try contents.seek(.hole, from: 0, size: far + 1, in: memory) == 0)
        contents.free(in: memory, charge: &charge)
        #expect(ledger.usedBytes == 0)
    }

    @Test("at 100 % full an overwrite works, and a write that grows is refused whole")
    func overwriteWhenFull() throws {
        let file = try StoredFile(limitBytes: 100_000)
        #expect(throws: Errno.noSpace) {
            while true { try file.write([UInt8](repeating: 1, count: 1000), at: file.expected.count) }
        }
        let full = file.expected.count
        #expect(full > 90_000)
        try file.write([UInt8](repeating: 2, count: full), at: 0)
        #expect(throws: Errno.noSpace) { try file.write([UInt8](repeating: 3, count: 9000), at: full - 1000) }
        #expect(file.expected.count == full)
        #expect(file.isAsExpected())
        #expect(file.isChargedExactly)
    }

    @Test("promotion needs no bytes: a full file can be punched and extended")
    func promotionWhenFull() throws {
        let file = try StoredFile(limitBytes: 100_000)
        #expect(throws: Errno.noSpace) {
            while true { try file.write([UInt8](repeating: 1, count: 1000), at: file.expected.count) }
        }
        #expect(file.isSequential)
        let before = file.ledger.usedBytes
        try file.truncate(to: file.expected.count + 1_000_000)
        #expect(!file.isSequential)
        #expect(file.ledger.usedBytes <= before)
        try file.punch(0..<40_960)
        #expect(file.ledger.usedBytes <= before - 40_960)
        #expect(file.isAsExpected())
        #expect(file.isChargedExactly)
    }

    @Test("sequential storage refuses all but appends, and changes nothing")
    func sequentialOnly() throws {
        let file = try StoredFile(StoragePolicy(kind: .sequential))
        try file.write([1, 2, 3], at: 0)
        try file.write([4], at: 3)
        let used = file.ledger.usedBytes
        #expect(throws: Errno.notSupportedOnSocket) { try file.write([9], at: 1) }
        #expect(throws: Errno.notSupportedOnSocket) { try file.write([9], at: 5) }
        #expect(throws: Errno.notSupportedOnSocket) { try file.truncate(to: 10) }
        #expect(throws: Errno.notSupportedOnSocket) { try file.allocate(0..<10) }
        #expect(throws: Errno.notSupportedOnSocket) { try file.punch(0..<2) }
        #expect(file.bytes(0..<4) == [1, 2, 3, 4])
        #expect(file.ledger.usedBytes == used)
        try file.truncate(to: 2)
        try file.write([7], at: 2)
        #expect(file.isAsExpected())
    }

    /// Rule: limits.storage
    @Test("a file larger than the promotion limit stays sequential")
    func promotionLimit() throws {
        let file = try StoredFile(StoragePolicy(promotionLimitBytes: 10))
        try file.write([UInt8](repeating: 1, count: 11), at: 0)
        #expect(throws: Errno.notSupportedOnSocket) { try file.write([1], at: 20) }
        #expect(file.isSequential)
        try file.truncate(to: 10)
        try file.write([1], at: 20)
        #expect(!file.isSequential)
        #expect(file.isAsExpected())
    }

    /// Rule: fallocate.reserves
    @Test("what fallocate has reserved can be written when the mount is full")
    func reservation() throws {
        let file = try StoredFile(limitBytes: 200_000)
        try file.allocate(0..<100_000)
        let rest = try file.ledger.reserve(200_000 - file.ledger.usedBytes)
        try file.write([UInt8](repeating: 5, count: 100_000), at: 0)
        #expect(file.isAsExpected())
        #expect(rest.bytes > 0)
    }

    @Test("data and holes are found where they are")
    func seeking() throws {
        let file = try StoredFile()
        try file.write([UInt8](repeating: 1, count: 4096), at: 0)
        try file.write([UInt8](repeating: 1, count: 10), at: 40_960)
        #expect(try file.seek(.hole, from: 0) == 4096)
        #expect(try file.seek(.data, from: 4096) == 40_960)
        #expect(try file.seek(.data, from: 100) == 100)
        #expect(try file.seek(.hole, from: 40_965) == 40_970)
        #expect(throws: Errno.noSuchAddressOrDevice) { _ = try file.seek(.data, from: 40_970) }
        try file.truncate(to: 100_000)
        #expect(throws: Errno.noSuchAddressOrDevice) { _ = try file.seek(.data, from: 50_000) }
        #expect(try file.seek(.hole, from: 50_000) == 50_000)
    }
}
