import Basics

/// A POSIX ACL, as its xattr holds it: a version (4 bytes), then for each entry a tag (2), permissions (2)
/// and a user or group (4), all little-endian.
///
/// Mode bits and ACL say the same thing twice: the entries of the owner, of the mask (of the owning group,
/// where there is no mask) and of others are the three digits of the mode. Whoever changes one changes both.
struct AccessControlList: Equatable {
    /// Entries stand in this order; of users and groups by name there may be several, of the rest one.
    enum Tag: UInt16 {
        case owner = 1
        case user = 2
        case owningGroup = 4
        case group = 8
        case mask = 16
        case other = 32
    }

    struct Entry: Equatable {
        var tag: Tag
        /// 0 to 7.
        var permissions: UInt32
        var id: UInt32
    }

    private static let version: UInt32 = 2
    private static let headerBytes = 4
    private static let entryBytes = 8

    private(set) var entries: [Entry] = []

    /// Throws `.invalidArgument` for what is no ACL. The kernel has looked already; whoever speaks to us
    /// without it has not.
    init(_ value: RawSpan) throws(Errno) {
        func word(_ offset: Int, _ bytes: Int) -> UInt32 {
            (0..<bytes).reduce(0) { $0 | UInt32(value.byte(at: offset + $1)) << UInt32(8 * $1) }
        }
        guard value.byteCount >= Self.headerBytes, word(0, 4) == Self.version,
            (value.byteCount - Self.headerBytes) % Self.entryBytes == 0
        else { throw .invalidArgument }
        for start in stride(from: Self.headerBytes, to: value.byteCount, by: Self.entryBytes) {
            guard let tag = Tag(rawValue: UInt16(word(start, 2))), word(start + 2, 2) <= 7 else {
                throw .invalidArgument
            }
            entries.append(Entry(tag: tag, permissions: word(start + 2, 2), id: word(start + 4, 4)))
        }
        guard isOrdered, has(.owner), has(.owningGroup), has(.other),
            has(.mask) || !has(.user) && !has(.group)
        else { throw .invalidArgument }
    }

    private var isOrdered: Bool {
        zip(entries, entries.dropFirst()).allSatisfy { left, right in
            left.tag.rawValue < right.tag.rawValue
                || left.tag == right.tag && (left.tag == .user || left.tag == .group)
        }
    }

    private func has(_ tag: Tag) -> Bool {
        entries.contains { $0.tag == tag }
    }

    /// What the xattr holds.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        func append(_ word: UInt32, _ count: Int) {
            for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(8 * index))) }
        }
        append(Self.version, 4)
        for entry in entries {
            append(UInt32(entry.tag.rawValue), 2)
            append(entry.permissions, 2)
            append(entry.id, 4)
        }
        return bytes
    }

    /// By how much the permissions of an entry with this tag are shifted in a mode; nil where the mode does
    /// not show them.
    private func shift(of tag: Tag) -> UInt32? {
        switch tag {
        case .owner: 6
        case .mask: 3
        case .owningGroup: has(.mask) ? nil : 3
        case .other: 0
        case .user, .group: nil
        }
    }

    /// The nine permission bits that say the same, as far as they can.
    var mode: UInt32 {
        entries.reduce(0) { mode, entry in mode | (shift(of: entry.tag).map { entry.permissions << $0 } ?? 0)
        }
    }

    /// Whether the mode bits alone would not do.
    var saysMoreThanMode: Bool { has(.user) || has(.group) || has(.mask) }

    /// What chmod(2) does to it.
    mutating func take(mode: UInt32) {
        for index in entries.indices {
            guard let shift = shift(of: entries[index].tag) else { continue }
            entries[index].permissions = mode >> shift & 7
        }
    }

    /// What the mode that a node is made with does to the ACL that it inherits.
    mutating func restrict(to mode: UInt32) { take(mode: self.mode & mode) }
}
