public import Accounting
public import Basics
import Glibc

/// The xattrs of one inode: a chain of blocks, one for each.
///
/// A block is the place of the next (8 bytes), the value's length (4), the name's length (1), the name, the
/// value. Not safe by itself: the lock of the inode guards it.
@safe public struct ExtendedAttributes: ~Copyable {
    private static let headerBytes = 13
    private var first: UInt64 = 0

    public init() {}

    public var isEmpty: Bool { first == 0 }

    deinit {
        assert(first == 0, "xattrs were dropped instead of freed")
    }

    /// Lends the value of `name`; false where there is none.
    public func withValue(of name: RawSpan, in memory: Memory, _ body: (RawSpan) -> Void) -> Bool {
        let place = find(name, memory).place
        guard place != 0 else { return false }
        let block = unsafe memory.address(ofBlock: place)
        let nameBytes = unsafe Int(block.load(fromByteOffset: 12, as: UInt8.self))
        let valueBytes = unsafe Int(block.load(fromByteOffset: 8, as: UInt32.self))
        unsafe body(
            UnsafeRawBufferPointer(start: block + Self.headerBytes + nameBytes, count: valueBytes).bytes)
        return true
    }

    public func contains(_ name: RawSpan, in memory: Memory) -> Bool {
        find(name, memory).place != 0
    }

    /// Lends each name, the youngest first.
    public func forEachName(in memory: Memory, _ body: (RawSpan) -> Void) {
        forEachBlock(in: memory) { place in
            let block = unsafe memory.address(ofBlock: place)
            let nameBytes = unsafe Int(block.load(fromByteOffset: 12, as: UInt8.self))
            unsafe body(UnsafeRawBufferPointer(start: block + Self.headerBytes, count: nameBytes).bytes)
        }
    }

    func forEachBlock(in memory: Memory, _ body: (UInt64) -> Void) {
        var place = first
        while place != 0 {
            body(place)
            unsafe place = memory.address(ofBlock: place).load(as: UInt64.self)
        }
    }

    /// Sets `name` to `value`, or throws and changes nothing.
    ///
    /// - Throws: `.fileExists` and `.noData` as `setting` asks; `.noSpace`, `.diskQuotaExceeded`.
    public mutating func set(
        _ name: RawSpan, to value: RawSpan, _ setting: AttributeSetting, in memory: Memory,
        charge: inout Charge
    ) throws(Errno) {
        let old = find(name, memory)
        if old.place != 0, setting.contains(.create) { throw .fileExists }
        if old.place == 0, setting.contains(.replace) { throw .noData }
        let bytes = Self.headerBytes + name.byteCount + value.byteCount
        let growth = BlockHeap.cost(bytes) - memory.cost(ofBlock: old.place)
        let reservation = try charge.ledger.reserve(max(0, growth))
        let new = try memory.allocate(bytes).keep()
        if old.place != 0 { unlink(old, memory) }
        let block = unsafe memory.address(ofBlock: new)
        unsafe block.storeBytes(of: first, as: UInt64.self)
        unsafe block.storeBytes(of: UInt32(value.byteCount), toByteOffset: 8, as: UInt32.self)
        unsafe block.storeBytes(of: UInt8(name.byteCount), toByteOffset: 12, as: UInt8.self)
        unsafe Self.store(name, at: block + Self.headerBytes)
        unsafe Self.store(value, at: block + Self.headerBytes + name.byteCount)
        first = new
        reservation.commit(into: &charge, data: 0, metadata: growth)
    }

    /// Puts a value of the same length in the place of the one that is there: needs nothing, and cannot fail.
    public mutating func overwrite(_ name: RawSpan, with value: RawSpan, in memory: Memory) {
        let place = find(name, memory).place
        precondition(place != 0, "there is no such xattr")
        let block = unsafe memory.address(ofBlock: place)
        let valueBytes = unsafe Int(block.load(fromByteOffset: 8, as: UInt32.self))
        precondition(valueBytes == value.byteCount, "the value has another length")
        unsafe Self.store(value, at: block + Self.headerBytes + name.byteCount)
    }

    /// Throws `.noData` where there is no such xattr.
    public mutating func remove(_ name: RawSpan, in memory: Memory, charge: inout Charge) throws(Errno) {
        let old = find(name, memory)
        guard old.place != 0 else { throw .noData }
        charge.shrink(data: 0, metadata: -memory.cost(ofBlock: old.place))
        unlink(old, memory)
    }

    /// Frees all. Must be called before the value is dropped.
    public mutating func free(in memory: Memory, charge: inout Charge) {
        while first != 0 {
            charge.shrink(data: 0, metadata: -memory.cost(ofBlock: first))
            unlink((first, 0), memory)
        }
    }

    /// The block of `name` and the one before it; 0 where there is none.
    private func find(_ name: RawSpan, _ memory: Memory) -> (place: UInt64, before: UInt64) {
        var before: UInt64 = 0
        var place = first
        while place != 0 {
            let block = unsafe memory.address(ofBlock: place)
            let nameBytes = unsafe Int(block.load(fromByteOffset: 12, as: UInt8.self))
            let isSame = unsafe name.withUnsafeBytes {
                unsafe $0.count == nameBytes
                    && memcmp(block + Self.headerBytes, $0.baseAddress.unsafelyUnwrapped, nameBytes) == 0
            }
            if isSame { break }
            before = place
            unsafe place = block.load(as: UInt64.self)
        }
        return (place, place == 0 ? 0 : before)
    }

    private mutating func unlink(_ found: (place: UInt64, before: UInt64), _ memory: Memory) {
        let next = unsafe memory.address(ofBlock: found.place).load(as: UInt64.self)
        if found.before == 0 {
            first = next
        } else {
            unsafe memory.address(ofBlock: found.before).storeBytes(of: next, as: UInt64.self)
        }
        memory.free(found.place)
    }

    private static func store(_ bytes: RawSpan, at target: UnsafeMutableRawPointer) {
        unsafe bytes.withUnsafeBytes { source in
            if let base = source.baseAddress { unsafe target.copyMemory(from: base, byteCount: source.count) }
        }
    }
}
