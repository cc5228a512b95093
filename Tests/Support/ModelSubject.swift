import Basics
package import Fuse
package import Tree

/// What the model tests compare with the reference: the protocol that FUSE requests are answered through, and
/// the
/// figures and checks of the tree behind it.
package struct ModelSubject: Sendable {
    package let operations: any FileOperations
    package let usage: @Sendable () -> Usage
    /// Stops the program, or throws, where the tree contradicts itself.
    package let checkInvariants: @Sendable () throws -> Void

    package init(
        _ operations: any FileOperations, usage: @escaping @Sendable () -> Usage,
        checkInvariants: @escaping @Sendable () throws -> Void
    ) {
        self.operations = operations
        self.usage = usage
        self.checkInvariants = checkInvariants
    }

    func contents(_ node: NodeID, at offset: Int, count: Int) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        try operations.read(node, at: Int64(offset), count: count) { bytes = $0.copied() }
        return bytes
    }

    func target(_ node: NodeID) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        try operations.readLink(node) { bytes = $0.copied() }
        return bytes
    }

    func xattr(_ name: [UInt8], of node: NodeID, by caller: Caller) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        try operations.extendedAttribute(RawSpan(_elements: name.span), of: node, by: caller) {
            bytes = $0.copied()
        }
        return bytes
    }

    func xattrs(of node: NodeID, by caller: Caller) throws(Errno) -> Set<[UInt8]> {
        var bytes: [UInt8] = []
        try operations.extendedAttributeNames(of: node, by: caller) { bytes = $0.copied() }
        return Set(bytes.split(separator: 0).map { Array($0) })
    }

    struct Listed: Hashable {
        var name: [UInt8]
        var cookie: UInt64
        var entry: Entry
    }

    /// Lists a whole directory, `piece` entries a call. `.` and `..` are part of it.
    func list(_ node: NodeID, piece: Int, counting: Bool) throws(Errno) -> [Listed] {
        var all: [Listed] = []
        while true {
            let before = all.count
            let cookie = all.last?.cookie ?? 0
            var room = piece
            try operations.list(node, after: cookie, counting: counting) { name, cookie, entry in
                if room == 0 { return false }
                room -= 1
                all.append(Listed(name: name.copied(), cookie: cookie, entry: entry))
                return true
            }
            if all.count == before { return all }
        }
    }
}

extension RawSpan {
    package func copied() -> [UInt8] {
        unsafe withUnsafeBytes { unsafe Array($0) }
    }
}
