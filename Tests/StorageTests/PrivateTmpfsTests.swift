import Accounting
import Basics
import Glibc
import Storage
import Support
import Testing

@Suite("Files of a private tmpfs", .enabled(if: PrivateTmpfs.canBeHad, "no tmpfs can be made here"))
struct PrivateTmpfsTests {
    /// Hands out numbers, and notes which are registered.
    private final class Registry: BackingRegistry {
        var registered: Set<Int32> = []
        private var last: Int32 = 0

        func register(_ descriptor: Int32) throws(Errno) -> Int32 {
            last += 1
            registered.insert(last)
            return last
        }

        func unregister(_ backing: Int32) { registered.remove(backing) }
    }

    private let tmpfs: PrivateTmpfs
    private let ledger: QuotaLedger
    private let memory: Memory

    init() throws {
        let tmpfs = try PrivateTmpfs(bytes: 8 << 20, descriptors: 8)
        self.tmpfs = tmpfs
        let wall = Wall(limitBytes: 8 << 20) {
            tmpfs.resize(to: $0)
        } used: {
            tmpfs.usedBytes
        }
        ledger = QuotaLedger(limitBytes: 8 << 20, wall: wall)
        memory = try Memory(policy: StoragePolicy(), ledger: ledger, addressBytes: 64 << 20, tmpfs: tmpfs)
    }

    private func openDescriptors() throws -> Int {
        try Files.names(in: "/proc/self/fd").count
    }

    @Test("a resize that is refused does not spoil the next one")
    func resizing() throws {
        var contents = FileContents(in: memory)
        var charge = Charge(to: ledger)
        try [UInt8](repeating: 1, count: 1 << 20).withRawSpan { (bytes) throws(Errno) in
            try contents.write(bytes, at: 0, size: 0, in: memory, charge: &charge)
        }
        #expect(tmpfs.usedBytes == 1 << 20)
        #expect(!tmpfs.resize(to: 4096))
        #expect(tmpfs.resize(to: 2 << 20))
        contents.free(in: memory, charge: &charge)
        #expect(tmpfs.usedBytes == 0 && ledger.usedBytes == 0)
    }

    /// Rule: engines.pages
    @Test("many files need few descriptors, and each is charged what it takes")
    func boundedDescriptors() throws {
        let before = try openDescriptors()
        var charges = 0
        for number in 0..<200 {
            var contents = FileContents(in: memory)
            var charge = Charge(to: ledger)
            let bytes = [UInt8](repeating: UInt8(number), count: 5000)
            try bytes.withRawSpan { (bytes) throws(Errno) in
                try contents.write(bytes, at: 4096, size: 0, in: memory, charge: &charge)
            }
            #expect(contents.dataBytes(in: memory) == 2 * 4096)
            charges = charge.bytes
            #expect(ledger.usedBytes == charges && ledger.reservedBytes == 0)
            var found: [UInt8] = []
            try contents.read(4090..<4100, forCache: false, in: memory) { found = $0.copied() }
            #expect(found == [0, 0, 0, 0, 0, 0] + bytes.prefix(4))
            contents.free(in: memory, charge: &charge)
        }
        let after = try openDescriptors()
        #expect(after - before <= 8)
        #expect(charges > 2 * 4096 && charges < 3 * 4096)
    }

    @Test("what fallocate took is not taken again, behind the end too, and a refusal changes nothing")
    func allocation() throws {
        var contents = FileContents(in: memory)
        var charge = Charge(to: ledger)
        try contents.allocate(
            0..<3 << 20, size: 0, keepingSize: true, in: memory, charge: &charge)
        let used = ledger.usedBytes
        #expect(used > 3 << 20)
        #expect(throws: Errno.noSpace) {
            try contents.allocate(0..<9 << 20, size: 0, keepingSize: false, in: memory, charge: &charge)
        }
        #expect(throws: Errno.noSpace) {
            try contents.allocate(0..<Int.max, size: 0, keepingSize: false, in: memory, charge: &charge)
        }
        #expect(ledger.usedBytes == used && tmpfs.usedBytes == 3 << 20)
        try [UInt8](repeating: 1, count: 3 << 20).withRawSpan { (bytes) throws(Errno) in
            try contents.write(bytes, at: 0, size: 0, in: memory, charge: &charge)
        }
        #expect(ledger.usedBytes == used && tmpfs.usedBytes == 3 << 20)
        #expect(try contents.auditedCost(in: memory) == charge.bytes)
        contents.free(in: memory, charge: &charge)
        #expect(ledger.usedBytes == 0 && tmpfs.usedBytes == 0)
    }

    /// Rule: engines.pages
    @Test("what is opened and never written costs nothing afterwards")
    func openedAndEmpty() throws {
        let registry = Registry()
        var contents = FileContents(in: memory)
        var charge = Charge(to: ledger)
        let first = try contents.open(
            for: .writing, size: 0, in: memory, charge: &charge, with: registry)
        let second = try contents.open(
            for: .writing, size: 0, in: memory, charge: &charge, with: registry)
        #expect(first == second && registry.registered == [first])
        #expect(charge.bytes > 0)
        try contents.release(in: memory, charge: &charge, with: registry)
        #expect(registry.registered == [first])
        try contents.release(in: memory, charge: &charge, with: registry)
        #expect(registry.registered == [] && charge.bytes == 0)
        contents.free(in: memory, charge: &charge)
    }

    /// Rule: engines.observed
    @Test("what the kernel stores by itself is seen and charged once")
    func observed() throws {
        let registry = WritingRegistry()
        var contents = FileContents(in: memory)
        var charge = Charge(to: ledger)
        _ = try contents.open(
            for: .writing, size: 0, in: memory, charge: &charge, with: registry)
        let seen = contents.observe(in: memory, charge: &charge)
        #expect(seen?.size == 10_000)
        #expect(contents.dataBytes(in: memory) == 3 * 4096)
        #expect(ledger.dataBytes == 3 * 4096)
        let again = contents.observe(in: memory, charge: &charge)
        #expect(again?.size == 10_000 && again?.modified == nil)
        try contents.release(in: memory, charge: &charge, with: registry)
        contents.free(in: memory, charge: &charge)
        #expect(ledger.usedBytes == 0)
    }

    /// Writes to the file it is given, as a program does through the kernel.
    private struct WritingRegistry: BackingRegistry {
        func register(_ descriptor: Int32) throws(Errno) -> Int32 {
            let bytes = [UInt8](repeating: 7, count: 10_000)
            let count = unsafe bytes.withUnsafeBytes {
                unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0)
            }
            guard count == bytes.count else { throw .ioError }
            return 1
        }

        func unregister(_ backing: Int32) {}
    }
}
