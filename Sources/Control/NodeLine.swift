public import Basics

/// A node in the answer to `GET /v1/nodes`, one for each name, in a line of JSON:
/// `["f",7,12,1,1000,4821,1766664000,"a.txt"]`.
///
/// The fields are kind, directory, inode, links, user, bytes, time and name. The last line is `["end",N]`
/// with the number of lines before it; an answer without it is cut short.
public struct NodeLine: Hashable, Sendable {
    /// `d` directory, `f` file, `l` symbolic link, `p` pipe, `s` socket, `b` and `c` device.
    public var kind: UInt8
    /// The inode number of the directory that has the name; 0 for the root, and for what has no name.
    public var directory: UInt64
    public var inode: UInt64
    public var links: UInt32
    public var user: UInt32
    /// What it is charged, data and metadata.
    public var bytes: Int
    /// Of its last modification, in seconds since 1970.
    public var modified: Int64

    public init(
        kind: FileKind, directory: UInt64, inode: UInt64, links: UInt32, user: UInt32, bytes: Int,
        modified: Int64
    ) {
        self.kind =
            switch kind {
            case .directory: UInt8(ascii: "d")
            case .regular: UInt8(ascii: "f")
            case .symlink: UInt8(ascii: "l")
            case .pipe: UInt8(ascii: "p")
            case .socket: UInt8(ascii: "s")
            case .blockDevice: UInt8(ascii: "b")
            case .characterDevice: UInt8(ascii: "c")
            }
        self.directory = directory
        self.inode = inode
        self.links = links
        self.user = user
        self.bytes = bytes
        self.modified = modified
    }

    public var isDirectory: Bool { kind == UInt8(ascii: "d") }
    public var isUnlinked: Bool { links == 0 }

    // MARK: - Writing

    /// Appends the line. `name` is as it is in the directory; in the line it is percent-encoded.
    public func append(to lines: inout [UInt8], name: ArraySlice<UInt8>) {
        lines.append(UInt8(ascii: "["))
        lines.append(UInt8(ascii: "\""))
        lines.append(kind)
        lines.append(UInt8(ascii: "\""))
        for value in [Int64(bitPattern: directory), Int64(bitPattern: inode), Int64(links), Int64(user)] {
            Self.append(value, to: &lines)
        }
        Self.append(Int64(bytes), to: &lines)
        Self.append(modified, to: &lines)
        lines.append(UInt8(ascii: ","))
        lines.append(UInt8(ascii: "\""))
        MountPath.appendEncoded(name, to: &lines)
        lines.append(UInt8(ascii: "\""))
        lines.append(UInt8(ascii: "]"))
        lines.append(UInt8(ascii: "\n"))
    }

    /// The line behind `count` others.
    public static func end(after count: Int) -> [UInt8] { Array("[\"end\",\(count)]\n".utf8) }

    /// A comma and a number.
    private static func append(_ value: Int64, to lines: inout [UInt8]) {
        lines.append(UInt8(ascii: ","))
        if value < 0 { lines.append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        repeat {
            lines.append(0)
            rest /= 10
        } while rest > 0
        rest = value.magnitude
        var place = lines.count
        repeat {
            place -= 1
            lines[place] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        } while rest > 0
    }

    // MARK: - Reading

    /// What a line says: a node and its name, still encoded; or the end, with a count.
    enum Reading {
        case node(NodeLine, name: ArraySlice<UInt8>)
        case end(Int)
    }

    private init() {
        self.init(kind: .regular, directory: 0, inode: 0, links: 0, user: 0, bytes: 0, modified: 0)
    }

    /// Reads a line without the newline at its end; nil for what is none.
    static func reading(_ line: ArraySlice<UInt8>) -> Reading? {
        var rest = line
        guard rest.popFirst() == UInt8(ascii: "["), rest.popLast() == UInt8(ascii: "]"),
            let word = string(&rest)
        else { return nil }
        guard word.count == 1, let kind = word.first else {
            guard word.elementsEqual("end".utf8), let count = number(&rest) else { return nil }
            return .end(Int(count))
        }
        var node = NodeLine()
        node.kind = kind
        guard let directory = number(&rest), let inode = number(&rest), let links = number(&rest),
            let user = number(&rest), let bytes = number(&rest), let modified = number(&rest),
            rest.popFirst() == UInt8(ascii: ","), let name = string(&rest), rest.isEmpty
        else { return nil }
        node.directory = UInt64(bitPattern: directory)
        node.inode = UInt64(bitPattern: inode)
        node.links = UInt32(truncatingIfNeeded: links)
        node.user = UInt32(truncatingIfNeeded: user)
        node.bytes = Int(bytes)
        node.modified = modified
        return .node(node, name: name)
    }

    private static func string(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard rest.first == UInt8(ascii: "\"") else { return nil }
        let start = rest.startIndex + 1
        var end = start
        while end < rest.endIndex, rest[end] != UInt8(ascii: "\"") { end += 1 }
        guard end < rest.endIndex else { return nil }
        let text = rest[start..<end]
        rest = rest[(end + 1)...]
        return text
    }

    /// A comma and a number.
    private static func number(_ rest: inout ArraySlice<UInt8>) -> Int64? {
        var index = rest.startIndex
        guard index < rest.endIndex, rest[index] == UInt8(ascii: ",") else { return nil }
        index += 1
        let isNegative = index < rest.endIndex && rest[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        let start = index
        var value: Int64 = 0
        while index < rest.endIndex, case let digit = Int64(rest[index]) - 0x30, 0...9 ~= digit {
            value = value &* 10 &+ digit
            index += 1
        }
        guard index > start else { return nil }
        rest = rest[index...]
        return isNegative ? -value : value
    }
}
