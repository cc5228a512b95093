/// The name by which the kernel and we speak of an inode: its slot's index, and a generation that guards
/// reuse.
///
/// The index is in the low 32 bits and the generation in the high 32. The generation is the low half of the
/// inode number less one, so that the root, whose inode number is 1, has the ID 1 that FUSE demands.
public struct NodeID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// The ID of the inode `number` in the slot `index`.
    @inlinable
    public init(index: UInt32, number: UInt64) {
        rawValue = UInt64(UInt32(truncatingIfNeeded: number &- 1)) << 32 | UInt64(index)
    }

    /// The root directory: index 1, generation 0.
    public static let root = NodeID(rawValue: 1)

    @inlinable
    public var index: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
}
