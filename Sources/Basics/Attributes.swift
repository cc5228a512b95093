/// A moment, as stat(2) gives it: seconds since 1970, which may be negative, and nanoseconds, 0 to
/// 999,999,999.
public struct Timestamp: Hashable, Sendable, Comparable {
    public var seconds: Int64
    public var nanoseconds: UInt32

    @inlinable
    public init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// What kind of file a node is: the type bits of a mode.
public enum FileKind: UInt32, Sendable, Hashable {
    case pipe = 0o010000
    case characterDevice = 0o020000
    case directory = 0o040000
    case blockDevice = 0o060000
    case regular = 0o100000
    case symlink = 0o120000
    case socket = 0o140000

    /// The kind in the type bits of `mode`, or nil where they name none.
    public init?(mode: UInt32) {
        self.init(rawValue: mode & 0o170000)
    }
}

/// What stat(2) reports of a node.
public struct Attributes: Hashable, Sendable {
    /// `st_ino`. Unique over the life of the mount: a number is never used twice.
    public var number: UInt64
    /// Type and permission bits.
    public var mode: UInt32
    public var links: UInt32
    public var owner: UInt32
    public var group: UInt32
    /// `st_rdev`; 0 for what is not a device.
    public var device: UInt32
    /// In bytes.
    public var size: Int64
    /// Memory really held for the data, in units of 512 bytes.
    public var blocks: Int64
    public var accessed: Timestamp
    public var modified: Timestamp
    public var changed: Timestamp
    /// They may change without a request, since somebody may store through a mapping: nobody may keep them.
    public var mayChange: Bool

    public init(
        number: UInt64, mode: UInt32, links: UInt32, owner: UInt32, group: UInt32, device: UInt32,
        size: Int64,
        blocks: Int64, accessed: Timestamp, modified: Timestamp, changed: Timestamp,
        mayChange: Bool = false
    ) {
        self.number = number
        self.mode = mode
        self.links = links
        self.owner = owner
        self.group = group
        self.device = device
        self.size = size
        self.blocks = blocks
        self.accessed = accessed
        self.modified = modified
        self.changed = changed
        self.mayChange = mayChange
    }
}

/// A node that a request found or made. Handing one to the kernel raises the node's lookup count by one.
public struct Entry: Hashable, Sendable {
    public var node: NodeID
    public var attributes: Attributes

    public init(node: NodeID, attributes: Attributes) {
        self.node = node
        self.attributes = attributes
    }
}
