/// Who makes a request, in the daemon's user namespace.
public struct Caller: Hashable, Sendable {
    /// `unknownID` where the kernel does not say: from Linux 6.12 on it names users and groups only in
    /// requests that make a node, as the same user may have many IDs there, one in each mount.
    public var user: UInt32
    public var group: UInt32
    /// 0 where the kernel itself asks (write-back).
    public var process: Int32
    /// Permission bits that what the caller makes shall not have, unless its directory hands an ACL down.
    public var umask: UInt32

    public init(user: UInt32, group: UInt32, process: Int32, umask: UInt32 = 0) {
        self.user = user
        self.group = group
        self.process = process
        self.umask = umask
    }
}

extension Caller {
    /// No user and no group has this ID.
    public static let unknownID = UInt32.max

    /// Whether nothing is known that speaks against root.
    public var mayBeRoot: Bool { user == 0 || user == Caller.unknownID }

    /// Whether root asks. Where the kernel has not said who does, the process is looked up, which takes some
    /// microseconds; it waits for our answer meanwhile, or it is gone and does not care.
    public var isRoot: Bool {
        user == Caller.unknownID ? filesystemUser == 0 : user == 0
    }

    /// nil where the process is not ours to see: in another container, or gone.
    private var filesystemUser: UInt32? { ProcessStatus(of: process)?.filesystemUser }
}

/// What a setattr request asks to change; nil leaves a field as it is.
public struct AttributeChanges: Hashable, Sendable {
    public enum Time: Hashable, Sendable {
        case now
        case at(Timestamp)
    }

    /// Permission bits; type bits are ignored.
    public var mode: UInt32?
    public var owner: UInt32?
    public var group: UInt32?
    /// In bytes.
    public var size: Int64?
    public var accessed: Time?
    public var modified: Time?
    public var changed: Time?
    /// Clear setuid, setgid (of a group-executable file) and `security.capability`, as after a write by a
    /// stranger.
    public var dropsPrivileges = false

    public init() {}
}

/// How a file was opened: what the kernel may do with it by itself.
public struct Opening: Hashable, Sendable {
    /// Reads and writes come to us, past the page cache.
    public var bypassesCache: Bool
    /// The registered backing file; 0 for none. The kernel reads, writes and maps that instead of asking us;
    /// together with `bypassesCache` it only maps it.
    public var backing: Int32

    public init(bypassesCache: Bool = false, backing: Int32 = 0) {
        self.bypassesCache = bypassesCache
        self.backing = backing
    }
}

/// What an open file may be used for.
public enum OpenMode: Sendable {
    case reading
    case writing
}

/// The flags of renameat2(2).
public struct RenameFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let noReplace = RenameFlags(rawValue: 1)
    public static let exchange = RenameFlags(rawValue: 2)
    public static let whiteout = RenameFlags(rawValue: 4)
}

/// The mode bits of fallocate(2).
public struct AllocationMode: OptionSet, Hashable, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let keepSize = AllocationMode(rawValue: 1)
    public static let punchHole = AllocationMode(rawValue: 2)
    public static let zeroRange = AllocationMode(rawValue: 16)
}

/// The two seeks of lseek(2) that only a filesystem can answer.
public enum SparseSeek: Sendable {
    case data
    case hole
}

/// The flags of setxattr(2), and what the kernel adds to them.
public struct AttributeSetting: OptionSet, Hashable, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// Fail with EEXIST where the xattr is already there.
    public static let create = AttributeSetting(rawValue: 1)
    /// Fail with ENODATA where it is not.
    public static let replace = AttributeSetting(rawValue: 2)
    /// The xattr is an ACL, set by one who may not keep the file's setgid bit. Not of setxattr(2).
    public static let droppingSetgid = AttributeSetting(rawValue: 1 << 16)
}

/// What statfs(2) reports. Blocks are of `blockBytes` bytes.
public struct FilesystemStatistics: Hashable, Sendable {
    public var blockBytes: UInt64
    public var blocks: UInt64
    /// What the limit leaves.
    public var freeBlocks: UInt64
    /// What can be written now: no more than `freeBlocks`.
    public var availableBlocks: UInt64
    public var nodes: UInt64
    public var freeNodes: UInt64

    public init(
        blockBytes: UInt64, blocks: UInt64, freeBlocks: UInt64, availableBlocks: UInt64? = nil, nodes: UInt64,
        freeNodes: UInt64
    ) {
        self.blockBytes = blockBytes
        self.blocks = blocks
        self.freeBlocks = freeBlocks
        self.availableBlocks = availableBlocks ?? freeBlocks
        self.nodes = nodes
        self.freeNodes = freeNodes
    }
}
