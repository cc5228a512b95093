import Accounting
import Basics
import Storage
import Support
import Testing

@Suite("Pages that lie scattered")
struct ScatteredTests {
    private static let page = 4096

    @Test(
        "one request takes thousands of single pages, old ones and fresh ones",
        arguments: [0, 2 << 20, 64 << 20], [false, true])
    func singlePages(keptFreeBytes: Int, takesHugePages: Bool) throws {
        let policy = StoragePolicy(
            kind: .randomAccess, keptFreeBytes: keptFreeBytes, takesHugePages: takesHugePages)
        let file = try StoredFile(policy, limitBytes: 96 << 20)
        let pages = 6000
        try file.write([UInt8](repeating: 0xee, count: pages * Self.page), at: 0)
        for number in stride(from: 0, to: pages, by: 2) {
            try file.punch(number * Self.page..<(number + 1) * Self.page)
        }
        // Every second page is free: what is written and what is reserved lie in single pages.
        let end = pages * Self.page
        try file.write([UInt8](repeating: 0x11, count: 1200 * Self.page), at: end)
        try file.allocate(end + 1200 * Self.page..<end + 3000 * Self.page + 5)
        #expect(file.isAsExpected())
        #expect(file.isChargedExactly)
        // Refused by the limit, and by it alone: all that had been taken goes back.
        let used = file.ledger.usedBytes
        #expect(throws: Errno.noSpace) { try file.allocate(0..<200 << 20) }
        #expect(file.ledger.usedBytes == used)
        try file.truncate(to: 0)
        #expect(file.ledger.usedBytes == 0)
    }
}
