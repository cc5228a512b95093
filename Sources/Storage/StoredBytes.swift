public import Accounting
public import Basics

/// A few bytes that never change, such as the target of a symlink, in a block of their size.
@safe public struct StoredBytes: ~Copyable {
    private var location: UInt64
    public let count: Int

    /// What `count` bytes cost, in bytes.
    public static func cost(_ count: Int) -> Int { BlockHeap.cost(max(1, count)) }

    /// The caller has reserved `cost`, and commits it. Throws `.noSpace` where the system refuses the memory.
    public init(_ bytes: RawSpan, in memory: Memory) throws(Errno) {
        let block = try memory.allocate(max(1, bytes.byteCount)).keep()
        location = block
        count = bytes.byteCount
        unsafe bytes.withUnsafeBytes { source in
            if let base = source.baseAddress {
                unsafe memory.address(ofBlock: block).copyMemory(from: base, byteCount: source.count)
            }
        }
    }

    public func withBytes<Result>(in memory: Memory, _ body: (RawSpan) -> Result) -> Result {
        unsafe body(UnsafeRawBufferPointer(start: memory.address(ofBlock: location), count: count).bytes)
    }

    /// Frees the block. Must be called before the value is dropped.
    public mutating func free(in memory: Memory, charge: inout Charge) {
        charge.shrink(data: 0, metadata: -memory.cost(ofBlock: location))
        memory.free(location)
        location = 0
    }

    deinit {
        assert(location == 0, "stored bytes were dropped instead of freed")
    }
}
