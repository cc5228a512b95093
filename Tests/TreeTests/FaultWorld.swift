import Accounting
import Basics
import Storage
import Support
import Synchronization
import Tree

/// A tree with a few things in it, whose steps can be let fail, and a picture of all that can be seen of it.
final class FaultWorld {
    let tree: Tree
    let faults = FaultPlan()
    let caller = Caller(user: 0, group: 0, process: 1)
    /// One who has a limit, where there are quotas.
    static let limited = Caller(user: 1009, group: 0, process: 1)
    private(set) var nodes: [String: NodeID] = [:]

    /// Everything of one node that a caller can see.
    struct Picture: Hashable {
        var path: [UInt8]
        var attributes: Attributes
        var content: [UInt8]
        var xattrs: [[UInt8]]
    }

    /// Where the bytes of files lie.
    enum Place: Hashable, Sendable, CustomStringConvertible {
        case memory(StoragePolicy.Kind)
        case tmpfs

        var description: String {
            switch self {
            case .memory(let kind): kind.rawValue
            case .tmpfs: "backed"
            }
        }
    }

    init(_ place: Place) throws {
        // Each look at the clock gives another time, so that a time that was touched is seen.
        let ticks = Atomic64()
        var kind = StoragePolicy.Kind.auto
        if case .memory(let chosen) = place { kind = chosen }
        var configuration = TreeConfiguration(
            limits: Limits(bytes: 64 << 20), storage: StoragePolicy(kind: kind),
            clock: Clock { Timestamp(seconds: ticks.next(), nanoseconds: 0) })
        configuration.faults = faults
        if place == .tmpfs { configuration.tmpfs = try PrivateTmpfs(bytes: 64 << 20, descriptors: 8) }
        configuration.usesACL = true
        tree = try Tree(configuration)
        for name in ["crowded", "growing", "empty"] {
            let folder = try make(name) { (bytes) throws(Errno) in
                try tree.makeDirectory(bytes, in: .root, mode: 0o755, by: caller)
            }
            // A leaf holds 127 names of 12 bytes: the next one splits it.
            let count = name == "crowded" ? 127 : name == "growing" ? 20 : 0
            for number in 0..<count {
                let entry = try Array("f\(1000 + number)xxxxxxx".utf8).withRawSpan { (bytes) throws(Errno) in
                    try tree.create(bytes, in: folder, mode: 0o644, exclusive: true, by: caller)
                }
                if number == 0 { nodes["\(name)/first"] = entry.node }
            }
        }
        for (name, count) in [("small", 300), ("large", 300_000), ("new", 0)] {
            let node = try make(name) { (bytes) throws(Errno) in
                try tree.create(bytes, in: .root, mode: 0o6755, exclusive: true, by: caller)
            }
            try write(count, to: node, at: 0)
        }
        try setXattr("user.old", 200, of: node("small"))
        // So what is made there has two xattrs from the start.
        var list = AccessList(owner: 7, group: 5, mask: 7, other: 0)
        list.users = (1...20).map { ($0, 7) }
        try setACL(AccessList.inherited, list, of: node("growing"))
        try setACL(AccessList.access, list, of: node("large"))
        try makeBounded()
    }

    /// A directory with a quota, a file in it, and one without a name outside of it.
    private func makeBounded() throws {
        let folder = try make("bounded") { (name) throws(Errno) in
            try tree.makeDirectory(name, in: .root, mode: 0o755, by: caller)
        }
        var request = QuotaRequest()
        request.bytes = .to(32 << 20)
        _ = try tree.setQuota(of: folder, to: request)
        _ = try tree.setQuota(ofUser: Self.limited.user, to: request)
        let inside = try make("inside") { (name) throws(Errno) in
            try tree.create(name, in: folder, mode: 0o644, exclusive: true, by: caller)
        }
        try write(5000, to: inside, at: 0)
        nodes["nameless"] = try tree.makeTemporary(in: .root, mode: 0o600, by: caller).node
        try write(5000, to: node("nameless"), at: 0)
    }

    private func make(_ name: String, _ body: (RawSpan) throws(Errno) -> Entry) throws -> NodeID {
        let node = try Array(name.utf8).withRawSpan(body).node
        nodes[name] = node
        return node
    }

    func node(_ name: String) -> NodeID { nodes[name] ?? .root }

    func write(_ count: Int, to node: NodeID, at offset: Int) throws(Errno) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) | 1 }
        _ = try bytes.withRawSpan { (bytes) throws(Errno) in
            try tree.write(bytes, to: node, at: Int64(offset), droppingPrivileges: true)
        }
    }

    func setXattr(_ name: String, _ count: Int, of node: NodeID) throws(Errno) {
        let value = [UInt8](repeating: 5, count: count)
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            try value.withRawSpan { (value) throws(Errno) in
                try tree.setExtendedAttribute(name, of: node, to: value, [], by: caller)
            }
        }
    }

    func setACL(_ name: Path, _ list: AccessList, of node: NodeID) throws(Errno) {
        try name.bytes.withRawSpan { (name) throws(Errno) in
            try list.bytes.withRawSpan { (value) throws(Errno) in
                try tree.setExtendedAttribute(name, of: node, to: value, [], by: caller)
            }
        }
    }

    func resize(_ node: NodeID, to size: Int64) throws(Errno) {
        var changes = AttributeChanges()
        changes.size = size
        _ = try tree.setAttributes(changes, of: node)
    }

    /// All nodes that can be reached, in the order in which they are found.
    func picture() throws -> [Picture] {
        var pictures = [try picture(of: .root, [])]
        var waiting: [(NodeID, [UInt8])] = [(.root, [])]
        while let (folder, path) = waiting.popLast() {
            var found: [(node: NodeID, path: [UInt8], isFolder: Bool)] = []
            try tree.list(folder, after: 0, counting: false) { name, _, entry in
                let bytes = (0..<name.byteCount).map { name.byte(at: $0) }
                if bytes == [46] || bytes == [46, 46] { return true }
                let isFolder = FileKind(mode: entry.attributes.mode) == .directory
                found.append((entry.node, path + [47] + bytes, isFolder))
                return true
            }
            for item in found {
                pictures.append(try picture(of: item.node, item.path))
                if item.isFolder { waiting.append((item.node, item.path)) }
            }
        }
        return pictures
    }

    private func picture(of node: NodeID, _ path: [UInt8]) throws -> Picture {
        let attributes = try tree.attributes(of: node)
        var content: [UInt8] = []
        var xattrs: [[UInt8]] = []
        switch FileKind(mode: attributes.mode) {
        case .regular:
            try tree.read(node, at: 0, count: Int(attributes.size)) { content = $0.copied() }
        case .symlink:
            try tree.readLink(node) { target in content = (0..<target.byteCount).map { target.byte(at: $0) } }
        default: break
        }
        try tree.extendedAttributeNames(of: node, by: caller) { list in
            let names = (0..<list.byteCount).map { list.byte(at: $0) }
            xattrs = names.split(separator: 0).map { Array($0) }
        }
        for index in xattrs.indices {
            try xattrs[index].withRawSpan { (name) throws(Errno) in
                try tree.extendedAttribute(name, of: node, by: caller) { value in
                    for offset in 0..<value.byteCount { xattrs[index].append(value.byte(at: offset)) }
                }
            }
        }
        return Picture(path: path, attributes: attributes, content: content, xattrs: xattrs)
    }

    /// What the tree counts, without its history.
    var counts: [Int] {
        let usage = tree.usage
        return [
            usage.usedBytes, usage.chargedBytes, usage.dataBytes, usage.metadataBytes, usage.nodes,
            usage.openUnlinkedBytes, usage.reservedBytes,
        ] + tree.quotas().flatMap { [$0.state.usedBytes, $0.state.usedNodes, $0.path.count] }
            + tree.userQuotas().flatMap { [$0.state.usedBytes, $0.state.usedNodes, Int($0.user)] }
    }
}

/// Counts up, from any thread.
final class Atomic64: Sendable {
    private let value = Atomic<Int64>(0)

    func next() -> Int64 { value.wrappingAdd(1, ordering: .relaxed).newValue }
}
