/// The opcodes of FUSE's wire format, as the kernel numbers them.
public enum Opcode: UInt32, CaseIterable, Sendable {
    case lookup = 1
    case forget = 2
    case getattr = 3
    case setattr = 4
    case readlink = 5
    case symlink = 6
    case mknod = 8
    case mkdir = 9
    case unlink = 10
    case rmdir = 11
    case rename = 12
    case link = 13
    case open = 14
    case read = 15
    case write = 16
    case statfs = 17
    case release = 18
    case fsync = 20
    case setxattr = 21
    case getxattr = 22
    case listxattr = 23
    case removexattr = 24
    case flush = 25
    case initialize = 26
    case opendir = 27
    case readdir = 28
    case releasedir = 29
    case fsyncdir = 30
    case getlk = 31
    case setlk = 32
    case access = 34
    case create = 35
    case interrupt = 36
    case bmap = 37
    case ioctl = 39
    case poll = 40
    case batchForget = 42
    case fallocate = 43
    case readdirplus = 44
    case rename2 = 45
    case lseek = 46
    case copyFileRange = 47
    case tmpfile = 51
}

/// The features that INIT offers and accepts, in the low word.
public struct InitFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let asyncRead = InitFlags(rawValue: 1 << 0)
    public static let atomicTruncate = InitFlags(rawValue: 1 << 3)
    public static let exportSupport = InitFlags(rawValue: 1 << 4)
    public static let dontMask = InitFlags(rawValue: 1 << 6)
    public static let autoInvalidate = InitFlags(rawValue: 1 << 12)
    public static let readdirplus = InitFlags(rawValue: 1 << 13)
    public static let readdirplusAuto = InitFlags(rawValue: 1 << 14)
    public static let asyncDirectIO = InitFlags(rawValue: 1 << 15)
    public static let writebackCache = InitFlags(rawValue: 1 << 16)
    public static let noOpen = InitFlags(rawValue: 1 << 17)
    public static let parallelDirectories = InitFlags(rawValue: 1 << 18)
    public static let posixACL = InitFlags(rawValue: 1 << 20)
    public static let maxPages = InitFlags(rawValue: 1 << 22)
    public static let cacheSymlinks = InitFlags(rawValue: 1 << 23)
    public static let noOpendir = InitFlags(rawValue: 1 << 24)
    public static let killPrivilegesV2 = InitFlags(rawValue: 1 << 28)
    public static let extendedSetxattr = InitFlags(rawValue: 1 << 29)
    public static let extended = InitFlags(rawValue: 1 << 30)
    /// What a recent kernel offers: everything.
    public static let all = InitFlags(rawValue: 0x7fff_ffff)
}

extension [UInt8] {
    /// Appends an integer in the byte order of the wire, which is the machine's; all that we run on are
    /// little-endian.
    public mutating func put(_ value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Appends a name and its NUL.
    public mutating func put(name: [UInt8]) {
        append(contentsOf: name)
        append(0)
    }

    /// The integer at `offset`, or 0 where the bytes end before.
    public func get<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) -> Value {
        guard offset + Value.bitWidth / 8 <= count else { return 0 }
        return (0..<Value.bitWidth / 8).reduce(0) {
            $0 | Value(truncatingIfNeeded: self[offset + $1]) << ($1 * 8)
        }
    }
}

/// `struct fuse_attr`, 88 bytes.
public struct WireAttributes: Hashable, Sendable {
    public var number: UInt64
    public var size: UInt64
    public var blocks: UInt64
    /// Seconds of the last access, modification and change.
    public var seconds: [UInt64]
    public var nanoseconds: [UInt32]
    public var mode: UInt32
    public var links: UInt32
    public var owner: UInt32
    public var group: UInt32
    public var device: UInt32
    public var blockBytes: UInt32

    public static let byteCount = 88

    public init(_ bytes: [UInt8], at start: Int) {
        number = bytes.get(UInt64.self, at: start)
        size = bytes.get(UInt64.self, at: start + 8)
        blocks = bytes.get(UInt64.self, at: start + 16)
        seconds = (0..<3).map { bytes.get(UInt64.self, at: start + 24 + 8 * $0) }
        nanoseconds = (0..<3).map { bytes.get(UInt32.self, at: start + 48 + 4 * $0) }
        mode = bytes.get(UInt32.self, at: start + 60)
        links = bytes.get(UInt32.self, at: start + 64)
        owner = bytes.get(UInt32.self, at: start + 68)
        group = bytes.get(UInt32.self, at: start + 72)
        device = bytes.get(UInt32.self, at: start + 76)
        blockBytes = bytes.get(UInt32.self, at: start + 80)
    }
}

/// `struct fuse_entry_out`, 128 bytes.
public struct WireEntry: Hashable, Sendable {
    /// 0 for a name that does not exist.
    public var node: UInt64
    public var generation: UInt64
    /// In seconds.
    public var entryTimeout: UInt64
    public var attributeTimeout: UInt64
    public var attributes: WireAttributes

    public static let byteCount = 128

    public init(_ bytes: [UInt8], at start: Int) {
        node = bytes.get(UInt64.self, at: start)
        generation = bytes.get(UInt64.self, at: start + 8)
        entryTimeout = bytes.get(UInt64.self, at: start + 16)
        attributeTimeout = bytes.get(UInt64.self, at: start + 24)
        attributes = WireAttributes(bytes, at: start + 40)
    }
}

/// `struct fuse_dirent`, with what READDIRPLUS puts before it.
public struct WireDirectoryEntry: Hashable, Sendable {
    public var name: [UInt8]
    public var number: UInt64
    public var cookie: UInt64
    /// The type bits of the mode, shifted right by 12.
    public var type: UInt32
    /// From READDIRPLUS alone.
    public var entry: WireEntry?

    /// The entries in the reply to READDIR, or READDIRPLUS where `plus`.
    public static func list(_ bytes: [UInt8], plus: Bool) -> [WireDirectoryEntry] {
        var entries: [WireDirectoryEntry] = []
        var start = 0
        while start < bytes.count {
            let entry = plus ? WireEntry(bytes, at: start) : nil
            if plus { start += WireEntry.byteCount }
            let count = Int(bytes.get(UInt32.self, at: start + 16))
            guard count > 0, start + 24 + count <= bytes.count else { break }
            entries.append(
                WireDirectoryEntry(
                    name: Array(bytes[start + 24..<start + 24 + count]),
                    number: bytes.get(UInt64.self, at: start),
                    cookie: bytes.get(UInt64.self, at: start + 8),
                    type: bytes.get(UInt32.self, at: start + 20),
                    entry: entry))
            start += (24 + count + 7) & ~7
        }
        return entries
    }
}
