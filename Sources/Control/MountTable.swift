public import Basics

/// One line of /proc/self/mountinfo.
public struct MountEntry: Hashable, Sendable {
    public var id: Int
    public var parent: Int
    /// Of the device number that stat(2) reports for what is mounted. Names a FUSE connection and our socket.
    public var deviceMinor: Int
    /// What of the filesystem is mounted; not `/` for a bind mount of a part of it.
    public var root: String
    public var mountpoint: String
    /// The flags of this mount alone, such as `rw,nosuid,relatime`.
    public var options: String
    public var type: String
    /// What mount(8) and df(1) show as the device.
    public var source: String
    public var superOptions: String

    /// The type that the kernel shows for a mount of ours.
    public static let ownType = "fuse.dmemfs"

    public var isOurs: Bool { type == Self.ownType }

    /// Who mounted it, where the filesystem says so (FUSE does).
    public var user: UInt32? {
        for option in superOptions.split(separator: ",") where option.hasPrefix("user_id=") {
            return UInt32(option.dropFirst("user_id=".count))
        }
        return nil
    }

    /// Reads one line; nil where it is not of the form that proc(5) describes.
    public init?(line: Substring) {
        let fields = line.split(separator: " ", omittingEmptySubsequences: false)
        // Any number of optional fields stand before the lone dash.
        guard fields.count >= 10, let dash = fields[6...].firstIndex(of: "-"), fields.count >= dash + 4 else {
            return nil
        }
        let device = fields[2].split(separator: ":")
        guard let id = Int(fields[0]), let parent = Int(fields[1]) else { return nil }
        guard device.count == 2, let minor = Int(device[1]) else { return nil }
        self.id = id
        self.parent = parent
        deviceMinor = minor
        root = Self.unescaped(fields[3])
        mountpoint = Self.unescaped(fields[4])
        options = Self.unescaped(fields[5])
        type = Self.unescaped(fields[dash + 1])
        source = Self.unescaped(fields[dash + 2])
        superOptions = Self.unescaped(fields[dash + 3])
    }

    /// Undoes the kernel's `\040` for a space, tab, newline, backslash or hash.
    static func unescaped(_ field: Substring) -> String {
        let bytes = Array(field.utf8)
        guard bytes.contains(UInt8(ascii: "\\")) else { return String(field) }
        let octal = UInt8(ascii: "0")...UInt8(ascii: "7")
        var plain: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count,
                bytes[(index + 1)...(index + 3)].allSatisfy(octal.contains)
            {
                let value = bytes[(index + 1)...(index + 3)].reduce(0) { $0 * 8 + Int($1 - octal.lowerBound) }
                plain.append(UInt8(truncatingIfNeeded: value))
                index += 4
            } else {
                plain.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }
}

/// The mounts that this process sees, as of one moment. Reading it touches no mount, so that none can hang
/// it.
public struct MountTable: Sendable {
    /// In the kernel's order: what is mounted over something comes after it.
    public let entries: [MountEntry]

    public init(parsing text: String) {
        entries = text.split(separator: "\n").compactMap { MountEntry(line: $0) }
    }

    public static func current() throws(Errno) -> MountTable {
        MountTable(parsing: try Files.text(of: "/proc/self/mountinfo"))
    }

    /// What a lookup of `path` would reach if something is mounted right there: the uppermost mount on it.
    public func top(at path: String) -> MountEntry? {
        let here = entries.filter { $0.mountpoint == path }
        let covered = Set(here.map(\.parent))
        return here.last { !covered.contains($0.id) }
    }

    /// Every mount of ours, the uppermost at each place or not.
    public var ours: [MountEntry] { entries.filter(\.isOurs) }
}
