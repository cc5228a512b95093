import Accounting
import Basics
import Storage
import Tree

/// A tree and short words for what is done with it.
final class QuotaWorld: Sendable {
    let tree: Tree
    static let caller = Caller(user: 0, group: 0, process: 1)

    /// - Parameter isBacked: on a private tmpfs.
    init(bytes: Int, nodes: Int? = nil, isBacked: Bool = false) throws {
        var configuration = TreeConfiguration(limits: Limits(bytes: bytes, nodes: nodes))
        if isBacked { configuration.tmpfs = try PrivateTmpfs(bytes: bytes, descriptors: 8) }
        tree = try Tree(configuration)
    }

    private static func caller(_ user: UInt32) -> Caller { Caller(user: user, group: 0, process: 1) }

    func directory(_ name: String, in parent: NodeID = .root, by user: UInt32 = 0) throws -> NodeID {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            let caller = Self.caller(user)
            let node = try tree.makeDirectory(name, in: parent, mode: 0o755, by: caller).node
            tree.forget(node, count: 1)
            return node
        }
    }

    func file(_ name: String, in parent: NodeID, by user: UInt32 = 0) throws -> NodeID {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            try tree.create(name, in: parent, mode: 0o644, exclusive: true, by: Self.caller(user)).node
        }
    }

    func temporary(in parent: NodeID, by user: UInt32 = 0) throws -> NodeID {
        try tree.makeTemporary(in: parent, mode: 0o600, by: Self.caller(user)).node
    }

    /// chown(2), and ftruncate(2) with it where there is a size.
    func give(_ node: NodeID, to owner: UInt32, size: Int? = nil) throws {
        var changes = AttributeChanges()
        changes.owner = owner
        changes.size = size.map { Int64($0) }
        _ = try tree.setAttributes(changes, of: node)
    }

    func write(_ count: Int, to file: NodeID, at offset: Int = 0) throws {
        _ = try [UInt8](repeating: 1, count: count).withRawSpan { (bytes) throws(Errno) in
            try tree.write(bytes, to: file, at: Int64(offset), droppingPrivileges: false)
        }
    }

    func path(_ path: String) throws -> NodeID {
        try tree.directory(at: path.split(separator: "/").map { Array($0.utf8) })
    }

    func limit(_ user: UInt32, bytes: Int? = nil, nodes: Int? = nil, drains: Bool = false) throws {
        var request = QuotaRequest()
        if let bytes { request.bytes = .to(bytes) }
        if let nodes { request.nodes = .to(nodes) }
        request.drains = drains
        _ = try tree.setQuota(ofUser: user, to: request)
    }

    func state(ofUser user: UInt32) throws -> QuotaState {
        guard let state = tree.quota(ofUser: user) else { throw NoQuota() }
        return state
    }

    func set(
        _ directory: NodeID, bytes: Int? = nil, nodes: Int? = nil, setsAside: Bool = false,
        drains: Bool = false
    ) throws {
        var request = QuotaRequest()
        if let bytes { request.bytes = .to(bytes) }
        if let nodes { request.nodes = .to(nodes) }
        request.setsAside = setsAside
        request.drains = drains
        _ = try tree.setQuota(of: directory, to: request)
    }

    struct NoQuota: Error {}

    func state(_ directory: NodeID) throws -> QuotaState {
        guard let state = tree.quota(of: directory) else { throw NoQuota() }
        return state
    }

    /// Removes a file, and has the kernel forget it unless it is kept open.
    func remove(_ name: String, in parent: NodeID, keeping: Bool = false) throws {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            let node = try tree.lookup(name, in: parent).node
            try tree.unlink(name, in: parent)
            tree.forget(node, count: keeping ? 1 : .max)
        }
    }

    func removeDirectory(_ name: String, in parent: NodeID) throws {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            try tree.removeDirectory(name, in: parent)
        }
    }

    func rename(
        _ name: String, in parent: NodeID, to newName: String, in newParent: NodeID, _ flags: RenameFlags = []
    ) throws {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            try Array(newName.utf8).withRawSpan { (newName) throws(Errno) in
                try tree.rename(name, in: parent, to: newName, in: newParent, flags: flags, by: Self.caller)
            }
        }
    }

    func link(_ node: NodeID, as name: String, in parent: NodeID) throws {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            _ = try tree.link(node, as: name, in: parent)
            tree.forget(node, count: 1)
        }
    }
}
