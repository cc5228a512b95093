import Basics
import Glibc

/// A leaf of a directory's tree: a header, a table of 2-byte record offsets in the order of cookies, free
/// room, records.
///
/// A record is cookie (8 bytes), node (8), kind (1), name length (1), name. Removed records leave gaps, which
/// `compact` closes.
@safe struct NameLeaf {
    private static let headerBytes = 8
    private static let recordBytes = 18

    let location: UInt64
    let capacity: Int
    private let base: UnsafeMutableRawPointer

    init(_ location: UInt64, _ memory: Memory) {
        self.location = location
        capacity = memory.capacity(ofBlock: location)
        unsafe base = memory.address(ofBlock: location)
    }

    /// What an entry with a name of that many bytes takes.
    static func entryBytes(_ nameBytes: Int) -> Int { recordBytes + nameBytes + 2 }
    /// What a leaf takes whose entries take `entryBytes` together.
    static func leafBytes(_ entryBytes: Int) -> Int { headerBytes + entryBytes }

    private func half(_ offset: Int) -> Int {
        unsafe Int(base.load(fromByteOffset: offset, as: UInt16.self))
    }
    private func setHalf(_ offset: Int, _ value: Int) {
        unsafe base.storeBytes(of: UInt16(value), toByteOffset: offset, as: UInt16.self)
    }

    private(set) var count: Int {
        get { half(0) }
        nonmutating set { setHalf(0, newValue) }
    }
    /// Where the records begin. 0 would be 4096 or less: a leaf's capacity always fits 16 bits.
    private var recordsStart: Int {
        get { half(2) }
        nonmutating set { setHalf(2, newValue) }
    }
    private var gapBytes: Int {
        get { half(4) }
        nonmutating set { setHalf(4, newValue) }
    }

    /// Makes the leaf an empty one.
    func clear() {
        count = 0
        recordsStart = capacity
        gapBytes = 0
    }

    /// How many bytes the entries take together.
    var entriesBytes: Int { 2 * count + capacity - recordsStart - gapBytes }

    func hasRoom(for entryBytes: Int) -> Bool {
        NameLeaf.leafBytes(entriesBytes + entryBytes) <= capacity
    }

    private func record(_ position: Int) -> UnsafeMutableRawPointer {
        unsafe base + half(NameLeaf.headerBytes + 2 * position)
    }

    func cookie(at position: Int) -> UInt64 {
        unsafe record(position).loadUnaligned(as: UInt64.self)
    }

    private func nameBytes(at position: Int) -> Int {
        unsafe Int(record(position).load(fromByteOffset: 17, as: UInt8.self))
    }

    func found(at position: Int) -> NameMap.Found {
        let record = unsafe record(position)
        let node = unsafe NodeID(rawValue: record.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        let kind = unsafe UInt32(record.load(fromByteOffset: 16, as: UInt8.self)) << 12
        return NameMap.Found(node: node, kind: FileKind(mode: kind) ?? .regular, cookie: cookie(at: position))
    }

    func setNode(_ node: NodeID, _ kind: FileKind, at position: Int) {
        let record = unsafe record(position)
        unsafe record.storeBytes(of: node.rawValue, toByteOffset: 8, as: UInt64.self)
        unsafe record.storeBytes(of: UInt8(kind.rawValue >> 12), toByteOffset: 16, as: UInt8.self)
    }

    func withName<Result>(at position: Int, _ body: (RawSpan) -> Result) -> Result {
        let name = unsafe UnsafeRawBufferPointer(
            start: record(position) + NameLeaf.recordBytes, count: nameBytes(at: position))
        return unsafe body(name.bytes)
    }

    func hasName(_ name: RawSpan, at position: Int) -> Bool {
        guard nameBytes(at: position) == name.byteCount else { return false }
        let record = unsafe record(position)
        return unsafe name.withUnsafeBytes {
            unsafe memcmp(record + NameLeaf.recordBytes, $0.baseAddress.unsafelyUnwrapped, $0.count) == 0
        }
    }

    /// The first position whose cookie is `cookie` or higher.
    func lowerBound(of cookie: UInt64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self.cookie(at: middle) < cookie { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Adds an entry, for which there must be room.
    func insert(_ name: RawSpan, _ cookie: UInt64, _ node: NodeID, _ kind: FileKind, _ memory: Memory) {
        let bytes = NameLeaf.recordBytes + name.byteCount
        if recordsStart - (NameLeaf.headerBytes + 2 * count) < bytes + 2 { compact() }
        let position = lowerBound(of: cookie)
        let start = recordsStart - bytes
        let record = unsafe base + start
        unsafe record.storeBytes(of: cookie, as: UInt64.self)
        unsafe record.storeBytes(of: node.rawValue, toByteOffset: 8, as: UInt64.self)
        unsafe record.storeBytes(of: UInt8(kind.rawValue >> 12), toByteOffset: 16, as: UInt8.self)
        unsafe record.storeBytes(of: UInt8(name.byteCount), toByteOffset: 17, as: UInt8.self)
        unsafe name.withUnsafeBytes {
            unsafe (record + NameLeaf.recordBytes).copyMemory(
                from: $0.baseAddress.unsafelyUnwrapped, byteCount: $0.count)
        }
        recordsStart = start
        let slot = unsafe base + NameLeaf.headerBytes + 2 * position
        unsafe memmove(slot + 2, slot, 2 * (count - position))
        count += 1
        setHalf(NameLeaf.headerBytes + 2 * position, start)
    }

    func remove(at position: Int) {
        gapBytes += NameLeaf.recordBytes + nameBytes(at: position)
        let slot = unsafe base + NameLeaf.headerBytes + 2 * position
        unsafe memmove(slot, slot + 2, 2 * (count - position - 1))
        count -= 1
    }

    /// Closes the gaps between records.
    private func compact() {
        guard gapBytes > 0 else { return }
        // A temporary allocation as large as a leaf would be on the heap.
        var copy = InlineArray<512, UInt64>(repeating: 0)
        unsafe withUnsafeMutableBytes(of: &copy) { copy in
            unsafe copy.copyMemory(from: UnsafeRawBufferPointer(start: base, count: capacity))
            let source = unsafe copy.baseAddress.unsafelyUnwrapped
            let entries = count
            clear()
            unsafe append(entriesOf: source, 0..<entries)
        }
    }

    /// Appends the entries `positions` of another leaf, all of whose cookies are higher than those here.
    func append(_ other: NameLeaf, _ positions: Range<Int>) {
        unsafe append(entriesOf: other.base, positions)
    }

    private func append(entriesOf source: UnsafeMutableRawPointer, _ positions: Range<Int>) {
        for position in positions {
            let start = unsafe Int(
                source.load(fromByteOffset: NameLeaf.headerBytes + 2 * position, as: UInt16.self))
            let record = unsafe source + start
            let bytes = unsafe NameLeaf.recordBytes + Int(record.load(fromByteOffset: 17, as: UInt8.self))
            recordsStart -= bytes
            unsafe (base + recordsStart).copyMemory(from: record, byteCount: bytes)
            setHalf(NameLeaf.headerBytes + 2 * count, recordsStart)
            count += 1
        }
    }

    /// Drops the entries from `position` on.
    func truncate(to position: Int) {
        for dropped in position..<count { gapBytes += NameLeaf.recordBytes + nameBytes(at: dropped) }
        count = position
        compact()
    }

    /// The position at which the entries' bytes are halved; neither half is empty.
    var middle: Int {
        let half = entriesBytes / 2
        var bytes = 0
        for position in 0..<count {
            bytes += NameLeaf.entryBytes(nameBytes(at: position))
            if bytes >= half { return min(max(position + 1, 1), count - 1) }
        }
        return count - 1
    }
}

/// An inner node of a directory's tree: up to 255 pairs of the lowest cookie of a child and the child.
///
/// The first pair's cookie counts as the lowest there is.
@safe struct NameBranch {
    private static let headerBytes = 8
    static let limit = (BlockHeap.largestClassBytes - headerBytes) / 16

    let location: UInt64
    private let base: UnsafeMutableRawPointer

    init(_ location: UInt64, _ memory: Memory) {
        self.location = location
        unsafe base = memory.address(ofBlock: location)
    }

    private(set) var count: Int {
        get { unsafe Int(base.load(as: UInt16.self)) }
        nonmutating set { unsafe base.storeBytes(of: UInt16(newValue), as: UInt16.self) }
    }

    func clear() { count = 0 }

    private func pair(_ position: Int) -> UnsafeMutableRawPointer {
        unsafe base + NameBranch.headerBytes + 16 * position
    }

    func key(at position: Int) -> UInt64 { unsafe pair(position).load(as: UInt64.self) }
    func child(at position: Int) -> UInt64 { unsafe pair(position).load(fromByteOffset: 8, as: UInt64.self) }

    /// The child that a cookie belongs to.
    func position(of cookie: UInt64) -> Int {
        var low = 1
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if key(at: middle) <= cookie { low = middle + 1 } else { high = middle }
        }
        return low - 1
    }

    func insert(_ key: UInt64, _ child: UInt64, at position: Int) {
        let pair = unsafe pair(position)
        unsafe memmove(pair + 16, pair, 16 * (count - position))
        unsafe pair.storeBytes(of: key, as: UInt64.self)
        unsafe pair.storeBytes(of: child, toByteOffset: 8, as: UInt64.self)
        count += 1
    }

    func remove(at position: Int) {
        let pair = unsafe pair(position)
        unsafe memmove(pair, pair + 16, 16 * (count - position - 1))
        count -= 1
    }

    /// Moves the pairs from `position` on to `other`, which is empty.
    func move(from position: Int, to other: NameBranch) {
        unsafe memcpy(other.pair(0), pair(position), 16 * (count - position))
        other.count = count - position
        count = position
    }
}
