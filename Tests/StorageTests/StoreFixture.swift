import Accounting
import Basics
import Storage

/// A file on memory of its own, beside the bytes that it should have.
final class StoredFile {
    let memory: Memory
    let ledger: QuotaLedger
    private var contents: PagedContents
    private var charge: Charge
    private(set) var expected: [UInt8] = []
    /// Bytes behind those that are expected, which nobody looks at.
    private var unseenBytes = 0

    init(_ policy: StoragePolicy = StoragePolicy(), limitBytes: Int = 64 << 20) throws {
        ledger = QuotaLedger(limitBytes: limitBytes)
        memory = try Memory(policy: policy, ledger: ledger, addressBytes: 256 << 20)
        contents = PagedContents(policy)
        charge = Charge(to: ledger)
    }

    deinit { contents.free(in: memory, charge: &charge) }

    var isSequential: Bool { contents.isSequential }
    var dataBytes: Int { contents.dataBytes(in: memory) }

    func write(_ bytes: [UInt8], at offset: Int) throws(Errno) {
        try bytes.withRawSpan { (span) throws(Errno) in
            try contents.write(span, at: offset, size: expected.count, in: memory, charge: &charge)
        }
        if bytes.isEmpty { return }
        grow(to: offset + bytes.count)
        expected.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    /// Writes behind the end, and remembers nothing of it: the test itself then needs no memory.
    func appendUnseen(_ bytes: [UInt8]) throws(Errno) {
        let end = expected.count + unseenBytes
        try bytes.withRawSpan { (span) throws(Errno) in
            try contents.write(span, at: end, size: end, in: memory, charge: &charge)
        }
        unseenBytes += bytes.count
    }

    func truncate(to size: Int) throws(Errno) {
        if size > expected.count {
            try contents.extend(from: expected.count, to: size, in: memory, charge: &charge)
            grow(to: size)
        } else {
            contents.truncate(to: size, in: memory, charge: &charge)
            expected.removeSubrange(size...)
        }
    }

    func allocate(_ range: Range<Int>) throws(Errno) {
        try contents.allocate(range, size: expected.count, in: memory, charge: &charge)
        grow(to: range.upperBound)
    }

    func zero(_ range: Range<Int>) throws(Errno) {
        try contents.zero(range, size: expected.count, in: memory, charge: &charge)
        grow(to: range.upperBound)
        for index in range { expected[index] = 0 }
    }

    func punch(_ range: Range<Int>) throws(Errno) {
        try contents.punch(range, size: expected.count, in: memory, charge: &charge)
        for index in range.clamped(to: 0..<expected.count) { expected[index] = 0 }
    }

    func seek(_ kind: SparseSeek, from offset: Int) throws(Errno) -> Int {
        try contents.seek(kind, from: offset, size: expected.count, in: memory)
    }

    func bytes(_ range: Range<Int>) -> [UInt8] {
        var found: [UInt8] = []
        contents.read(range, in: memory) { found = $0.copied() }
        return found
    }

    /// Whether every byte is as expected, in reads of `pieceBytes`.
    func isAsExpected(pieceBytes: Int = 100_000) -> Bool {
        stride(from: 0, to: expected.count, by: pieceBytes).allSatisfy { start in
            let range = start..<min(start + pieceBytes, expected.count)
            return bytes(range) == Array(expected[range])
        }
    }

    /// Whether what is charged is what the contents cost, counted anew.
    var isChargedExactly: Bool {
        contents.auditedCost(in: memory) == charge.bytes && ledger.usedBytes == charge.bytes
            && ledger.dataBytes == dataBytes && ledger.reservedBytes == 0
    }

    private func grow(to size: Int) {
        if size > expected.count {
            expected.append(contentsOf: repeatElement(0, count: size - expected.count))
        }
    }
}
