import Basics
import Glibc

/// A leaf of a directory's tree: a header, a table of the records in the order of cookies, free room,
/// records.
///
/// An entry of the table is the offset of a record (2 bytes) and its tag (2): the bits of the cookie that
/// differ most from name to name. So a name is found by looking through the table, which lies in a row, and
/// at its own record alone: in a large tree each other record would be another miss of the cache. A record is
/// the rest of the cookie (6 bytes), node (8), kind (1), name length (1), name. Removed records leave gaps,
/// which `compact` closes.
@safe struct NameLeaf {
    private static let headerBytes = 8
    private static let entryBytes = 4
    private static let recordBytes = 16
    /// Where things lie in a record.
    private static let nodeOffset = 6
    private static let kindOffset = 14
    private static let lengthOffset = 15

    let location: UInt64
    let capacity: Int
    private let base: UnsafeMutableRawPointer

    init(_ location: UInt64, _ memory: Memory) {
        self.location = location
        capacity = memory.capacity(ofBlock: location)
        unsafe base = memory.address(ofBlock: location)
    }

    /// What an entry with a name of that many bytes takes.
    static func entryBytes(_ nameBytes: Int) -> Int { recordBytes + nameBytes + entryBytes }
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
    var entriesBytes: Int { NameLeaf.entryBytes * count + capacity - recordsStart - gapBytes }

    func hasRoom(for entryBytes: Int) -> Bool {
        NameLeaf.leafBytes(entriesBytes + entryBytes) <= capacity
    }

    /// Where the table has the entry of that position.
    private static func place(_ position: Int) -> Int { headerBytes + entryBytes * position }

    /// The lowest 16 bits of the hash.
    private static func tag(_ cookie: UInt64) -> UInt16 {
        UInt16(truncatingIfNeeded: cookie >> UInt64(NameMap.groupBits))
    }

    private func tag(at position: Int) -> UInt16 {
        unsafe base.load(fromByteOffset: NameLeaf.place(position) + 2, as: UInt16.self)
    }

    private func setEntry(at position: Int, to record: Int, _ tag: UInt16) {
        setHalf(NameLeaf.place(position), record)
        setHalf(NameLeaf.place(position) + 2, Int(tag))
    }

    private func record(_ position: Int) -> UnsafeMutableRawPointer {
        unsafe base + half(NameLeaf.place(position))
    }

    func cookie(at position: Int) -> UInt64 {
        let record = unsafe record(position)
        let low = unsafe UInt64(record.loadUnaligned(as: UInt32.self))
        let high = unsafe UInt64(record.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
        // The number in the group, the tag, and what is above it.
        return low & 0xff | UInt64(tag(at: position)) << 8 | (low >> 8) << 24 | high << 48
    }

    /// Writes what the tag does not hold of a cookie.
    private static func setCookie(_ cookie: UInt64, in record: UnsafeMutableRawPointer) {
        let low = UInt32(truncatingIfNeeded: cookie & 0xff | (cookie >> 24) << 8)
        unsafe record.storeBytes(of: low, as: UInt32.self)
        unsafe record.storeBytes(of: UInt16(cookie >> 48), toByteOffset: 4, as: UInt16.self)
    }

    private func nameBytes(at position: Int) -> Int {
        unsafe Int(record(position).load(fromByteOffset: NameLeaf.lengthOffset, as: UInt8.self))
    }

    func found(at position: Int) -> NameMap.Found {
        let record = unsafe record(position)
        let node = unsafe NodeID(
            rawValue: record.loadUnaligned(fromByteOffset: NameLeaf.nodeOffset, as: UInt64.self))
        let kind = unsafe UInt32(record.load(fromByteOffset: NameLeaf.kindOffset, as: UInt8.self)) << 12
        return NameMap.Found(node: node, kind: FileKind(mode: kind) ?? .regular, cookie: cookie(at: position))
    }

    func setNode(_ node: NodeID, _ kind: FileKind, at position: Int) {
        unsafe NameLeaf.setNode(node, kind, in: record(position))
    }

    private static func setNode(_ node: NodeID, _ kind: FileKind, in record: UnsafeMutableRawPointer) {
        unsafe record.storeBytes(of: node.rawValue, toByteOffset: nodeOffset, as: UInt64.self)
        unsafe record.storeBytes(of: UInt8(kind.rawValue >> 12), toByteOffset: kindOffset, as: UInt8.self)
    }

    func withName<Result>(at position: Int, _ body: (RawSpan) -> Result) -> Result {
        let name = unsafe UnsafeRawBufferPointer(
            start: record(position) + NameLeaf.recordBytes, count: nameBytes(at: position))
        return unsafe body(name.bytes)
    }

    /// The position of a name whose group of cookies is `group`; nil where it is not here.
    func position(of name: RawSpan, _ group: UInt64) -> Int? {
        let tag = NameLeaf.tag(group)
        for position in 0..<count where self.tag(at: position) == tag {
            if cookie(at: position) >> UInt64(NameMap.groupBits) == group >> UInt64(NameMap.groupBits),
                hasName(name, at: position)
            {
                return position
            }
        }
        return nil
    }

    private func hasName(_ name: RawSpan, at position: Int) -> Bool {
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
        if recordsStart - NameLeaf.place(count) < bytes + NameLeaf.entryBytes { compact() }
        let position = lowerBound(of: cookie)
        let start = recordsStart - bytes
        let record = unsafe base + start
        unsafe NameLeaf.setCookie(cookie, in: record)
        unsafe NameLeaf.setNode(node, kind, in: record)
        unsafe record.storeBytes(
            of: UInt8(name.byteCount), toByteOffset: NameLeaf.lengthOffset, as: UInt8.self)
        unsafe name.withUnsafeBytes {
            unsafe (record + NameLeaf.recordBytes).copyMemory(
                from: $0.baseAddress.unsafelyUnwrapped, byteCount: $0.count)
        }
        recordsStart = start
        let entry = unsafe base + NameLeaf.place(position)
        unsafe memmove(entry + NameLeaf.entryBytes, entry, NameLeaf.entryBytes * (count - position))
        count += 1
        setEntry(at: position, to: start, NameLeaf.tag(cookie))
    }

    func remove(at position: Int) {
        gapBytes += NameLeaf.recordBytes + nameBytes(at: position)
        let entry = unsafe base + NameLeaf.place(position)
        unsafe memmove(entry, entry + NameLeaf.entryBytes, NameLeaf.entryBytes * (count - position - 1))
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
            let entry = unsafe source + NameLeaf.place(position)
            let record = unsafe source + Int(entry.load(as: UInt16.self))
            let bytes =
                unsafe NameLeaf.recordBytes
                + Int(record.load(fromByteOffset: NameLeaf.lengthOffset, as: UInt8.self))
            recordsStart -= bytes
            unsafe (base + recordsStart).copyMemory(from: record, byteCount: bytes)
            setEntry(
                at: count, to: recordsStart, unsafe entry.load(fromByteOffset: 2, as: UInt16.self))
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
