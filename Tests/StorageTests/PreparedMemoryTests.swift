import Accounting
import Basics
import Glibc
import Storage
import Testing

/// Whether a page was populated is seen by whether the thread that writes to it takes a fault.
@Suite("Paged memory that is made ready ahead")
struct PreparedMemoryTests {
    private static let mebibyte = [UInt8](repeating: 0x5a, count: 1 << 20)
    private static let pages = 256

    /// How many pages the kernel had to put in place for this thread while `body` ran.
    private func faults(in body: () throws -> Void) throws -> Int {
        func count() -> Int {
            var usage = rusage()
            let thisThread: __rusage_who_t = 1
            _ = unsafe getrusage(thisThread, &usage)
            return usage.ru_minflt
        }
        let before = count()
        try body()
        return count() - before
    }

    @Test("the next large request finds its pages in place")
    func nextRequest() throws {
        let file = try StoredFile(limitBytes: 64 << 20)
        try file.write(Self.mebibyte, at: 0)
        #expect(try faults { file.memory.prepare() } >= Self.pages)
        let bare = try faults { try file.appendUnseen(Self.mebibyte) }
        #expect(bare < Self.pages / 2, "\(bare) faults")
        // What was ready is used up.
        #expect(try faults { try file.appendUnseen(Self.mebibyte) } >= Self.pages)
        #expect(try faults { file.memory.prepare() } >= Self.pages)
        #expect(file.isChargedExactly)
    }

    @Test("nothing is made ready where nothing may be kept, or no room is left")
    func nothing() throws {
        let file = try StoredFile(StoragePolicy(keptFreeBytes: 0))
        try file.write(Self.mebibyte, at: 0)
        #expect(try faults { file.memory.prepare() } < 8)
        let full = try StoredFile(limitBytes: 4 << 20)
        try full.write(Self.mebibyte + Self.mebibyte + Self.mebibyte, at: 0)
        #expect(try faults { full.memory.prepare() } < 8)
    }

    @Test("files in memory that was made ready have their own bytes, and zeros where nothing was written")
    func content() throws {
        let file = try StoredFile(StoragePolicy(kind: .randomAccess), limitBytes: 96 << 20)
        var generator = SystemRandomNumberGenerator()
        for round in 0..<24 {
            let count = Int.random(in: 140_000...1_100_000, using: &generator)
            let hole = Int.random(in: 0...9000, using: &generator)
            let bytes = [UInt8](repeating: UInt8(round + 1), count: count)
            try file.write(bytes, at: file.expected.count + hole)
            file.memory.prepare()
            if round % 7 == 6 { try file.truncate(to: file.expected.count / 3) }
        }
        #expect(file.isAsExpected())
        #expect(file.isChargedExactly)
        try file.truncate(to: 0)
        #expect(file.ledger.usedBytes == 0)
    }
}
