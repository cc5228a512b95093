import Accounting
public import Basics
import Storage

/// A node as a walk meets it.
public struct FoundNode: Hashable, Sendable {
    public var kind: FileKind
    /// `st_ino`.
    public var number: UInt64
    /// `st_ino` of the directory that the name is in; 0 for the root, and for what has no name.
    public var directory: UInt64
    /// 0 for what has lost its last name and is still open, or not yet forgotten by the kernel.
    public var links: UInt32
    public var owner: UInt32
    /// All that the node is charged, in bytes: its data, its xattrs, and the node itself; of a directory its
    /// names.
    public var bytes: Int
    public var modified: Timestamp
}

/// How far a walk over all nodes has come. It holds nothing: a walk may be given up at any time.
public struct NodeWalk: Sendable {
    var slot = 0
    /// The directory that is being read, its `st_ino`, and behind which cookie.
    var reading: (directory: NodeID, number: UInt64, cookie: UInt64)?

    public init() {}
}

extension Tree {
    /// Walks on, and calls `body` for each name that it meets, with what the name stands for, and for the
    /// root and what has no name with an empty one. Returns whether there is more.
    ///
    /// One step of a bounded number of nodes, with the namespace's lock held: `body` is quick and takes no
    /// lock. Who goes on at once keeps others out; `QuotaChange` pauses for 50 µs. The walk goes through the
    /// slots of the table and reads each directory that it finds, so that it needs no memory. Of what is
    /// made, removed or renamed meanwhile some is missed and some is met twice; all else is met once for
    /// each of its names.
    public func advance(_ walk: inout NodeWalk, _ body: (FoundNode, RawSpan) -> Void) -> Bool {
        namespace.withLock { allocation in
            var left = Tree.stepNodes
            while left > 0 {
                do throws(Errno) {
                    if walk.reading != nil {
                        if try read(&walk, &left, allocation, body) { walk.reading = nil }
                        continue
                    }
                    guard let next = table.next(from: walk.slot, steps: left, allocation) else {
                        return false
                    }
                    walk.slot = next.index
                    left -= 1
                    guard let node = next.node else { return true }
                    try meet(node, &walk, body)
                } catch {
                    // The directory that was being read has gone since the last step.
                    walk.reading = nil
                }
            }
            return true
        }
    }

    /// What lies in a slot: a directory is read next, and what has a name is met there.
    private func meet(
        _ node: NodeID, _ walk: inout NodeWalk, _ body: (FoundNode, RawSpan) -> Void
    ) throws(Errno) {
        let (isNamed, isDirectory) = try table.withState(node) { (state) throws(Errno) in
            (state.links > 0, state.kind == .directory)
        }
        if !isNamed || node == .root { body(try look(at: node, in: 0), RawSpan()) }
        if isNamed, isDirectory { walk.reading = (node, try table.number(of: node), 0) }
    }

    /// Meets the names behind the cookie, `left` at the most. Returns whether that were all.
    private func read(
        _ walk: inout NodeWalk, _ left: inout Int, _ allocation: borrowing InodeTable.Allocation,
        _ body: (FoundNode, RawSpan) -> Void
    ) throws(Errno) -> Bool {
        guard let reading = walk.reading else { return true }
        // An empty directory is a look, too.
        left -= 1
        var cookie = reading.cookie
        let isRead = try readNames(of: reading.directory, after: &cookie, &left, allocation) {
            (name, found) throws(Errno) in
            body(try look(at: found.node, in: reading.number), name)
            return true
        }
        walk.reading?.cookie = cookie
        return isRead
    }

    private func look(at node: NodeID, in directory: UInt64) throws(Errno) -> FoundNode {
        let number = try table.number(of: node)
        return try change(node) { (state) throws(Errno) in
            // What was stored through a mapping or by the kernel counts as well.
            state.observe(in: memory)
            return FoundNode(
                kind: state.kind, number: number, directory: directory, links: state.links,
                owner: state.owner, bytes: state.charge.bytes, modified: state.modified.time)
        }
    }
}
