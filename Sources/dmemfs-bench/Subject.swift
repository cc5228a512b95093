import Basics
import Tree

/// What is asked to do the operations: the tree itself, or the tree behind libfuse.
///
/// Names are bytes that the caller owns; what is written and read lies in a buffer of the subject's own, so
/// that nothing needs memory but what is measured.
protocol Subject {
    func lookup(_ name: RawSpan, in folder: NodeID) throws(Errno) -> NodeID
    func forget(_ node: NodeID)
    func attributes(of node: NodeID) throws(Errno)
    /// Makes a file and leaves it looked up once.
    func create(_ name: RawSpan, in folder: NodeID) throws(Errno) -> NodeID
    /// Writes `count` bytes, at most `largestPieceBytes`.
    func write(_ count: Int, to node: NodeID, at offset: Int) throws(Errno)
    func read(_ count: Int, of node: NodeID, at offset: Int) throws(Errno)
    func rename(_ name: RawSpan, in folder: NodeID, to newName: RawSpan) throws(Errno)
    func unlink(_ name: RawSpan, in folder: NodeID) throws(Errno)
}

/// The largest piece that a subject reads or writes at once: a request's own limit.
let largestPieceBytes = 1 << 20

/// The tree, called as `TreeServer` calls it.
///
/// What is not measured: locks that others hold, since one thread asks, and the copy of what is read.
struct BareTree: Subject {
    private let tree: Tree
    private let caller = Caller(user: 0, group: 0, process: 0)
    private let payload = [UInt8](repeating: 1, count: largestPieceBytes)

    init(_ tree: Tree) { self.tree = tree }

    func lookup(_ name: RawSpan, in folder: NodeID) throws(Errno) -> NodeID {
        try tree.lookup(name, in: folder).node
    }

    func forget(_ node: NodeID) { tree.forget(node, count: 1) }

    func attributes(of node: NodeID) throws(Errno) { _ = try tree.attributes(of: node) }

    func create(_ name: RawSpan, in folder: NodeID) throws(Errno) -> NodeID {
        try tree.create(name, in: folder, mode: 0o644, exclusive: true, by: caller).node
    }

    func write(_ count: Int, to node: NodeID, at offset: Int) throws(Errno) {
        try payload.withRawSpan { (bytes) throws(Errno) in
            _ = try tree.write(
                bytes.extracting(first: count), to: node, at: Int64(offset), droppingPrivileges: false)
        }
    }

    func read(_ count: Int, of node: NodeID, at offset: Int) throws(Errno) {
        var found = 0
        try tree.read(node, at: Int64(offset), count: count) { found = $0.byteCount }
        guard found == count else { throw .ioError }
    }

    func rename(_ name: RawSpan, in folder: NodeID, to newName: RawSpan) throws(Errno) {
        try tree.rename(name, in: folder, to: newName, in: folder, flags: [], by: caller)
    }

    func unlink(_ name: RawSpan, in folder: NodeID) throws(Errno) { try tree.unlink(name, in: folder) }
}
