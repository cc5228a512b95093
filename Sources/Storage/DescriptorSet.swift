import Basics
import Glibc

/// Open descriptors of files named by number, a bounded number of them: the least recently used is closed for
/// the next.
///
/// Eight may share a place, of which one in use is never closed: as a thread uses one at a time, there is
/// hardly ever none to close.
struct DescriptorSet: ~Copyable {
    private static let ways = 8

    private struct Way {
        /// 0: none.
        var file: UInt64 = 0
        var descriptor: Int32 = -1
        var users: UInt32 = 0
        var lastUse: UInt64 = 0
    }

    private var table: [Way]
    private var uses: UInt64 = 0

    /// - Parameter capacity: how many descriptors at the most; at least 8.
    init(capacity: Int) {
        table = Array(repeating: Way(), count: max(1, capacity / Self.ways) * Self.ways)
    }

    deinit {
        for way in table where way.file != 0 { close(way.descriptor) }
    }

    private func ways(of file: UInt64) -> Range<Int> {
        let places = UInt64(table.count / Self.ways)
        let first = Int(file % places) * Self.ways
        return first..<first + Self.ways
    }

    /// The descriptor of a file, which is in use until `release`; nil where it is not open.
    mutating func borrow(_ file: UInt64) -> Int32? {
        uses += 1
        for index in ways(of: file) where table[index].file == file {
            table[index].users += 1
            table[index].lastUse = uses
            return table[index].descriptor
        }
        return nil
    }

    /// What became of a descriptor that was to be kept.
    enum Kept {
        /// It is in use until `release`; another must be closed, if any.
        case inUse(closing: Int32?)
        /// There is no place for it.
        case refused
    }

    /// Keeps an open descriptor, which belongs to the set from then on, unless it is refused.
    mutating func add(_ file: UInt64, _ descriptor: Int32) -> Kept {
        uses += 1
        var victim: Int?
        for index in ways(of: file) where table[index].users == 0 {
            if let best = victim, table[best].lastUse <= table[index].lastUse { continue }
            victim = index
        }
        guard let victim else { return .refused }
        let old = table[victim]
        table[victim] = Way(file: file, descriptor: descriptor, users: 1, lastUse: uses)
        return .inUse(closing: old.file != 0 ? old.descriptor : nil)
    }

    mutating func release(_ file: UInt64) {
        for index in ways(of: file) where table[index].file == file { table[index].users -= 1 }
    }

    /// Forgets a file that nobody uses any more. Returns a descriptor that must be closed.
    mutating func remove(_ file: UInt64) -> Int32? {
        for index in ways(of: file) where table[index].file == file {
            let descriptor = table[index].descriptor
            table[index] = Way()
            return descriptor
        }
        return nil
    }
}
