public import Basics
import Storage

/// Listing directories.
extension Tree {
    /// The cookies of `.` and `..`; those of names are far above.
    private static let selfCookie: UInt64 = 1
    private static let parentCookie: UInt64 = 2

    /// Lists a directory from behind `cookie`, until `body` returns false, under the namespace's lock.
    ///
    /// With `counting`, each entry that `body` took, except `.` and `..`, has its lookup count raised.
    public func list(
        _ node: NodeID, after cookie: UInt64, counting: Bool,
        _ body: (_ name: RawSpan, _ cookie: UInt64, _ entry: Entry) -> Bool
    ) throws(Errno) {
        try namespace.withLock { (allocation) throws(Errno) in
            guard try listDots(node, after: cookie, allocation, body) else { return }
            try table.withNamesHeld(node, allocation) { (state) throws(Errno) in
                try state.readNames { names in
                    names.forEach(after: max(cookie, Tree.parentCookie), in: memory) { name, found in
                        do throws(Errno) {
                            let attributes = try attributes(of: found.node)
                            let entry = Entry(node: found.node, attributes: attributes)
                            guard body(name, found.cookie, entry) else { return false }
                            if counting { try table.addLookup(found.node, allocation) }
                            return true
                        } catch {
                            preconditionFailure("a directory has a name for a node that is not there")
                        }
                    }
                }
            }
        }
    }

    /// Returns false where `body` took no more.
    private func listDots(
        _ node: NodeID, after cookie: UInt64, _ allocation: borrowing InodeTable.Allocation,
        _ body: (_ name: RawSpan, _ cookie: UInt64, _ entry: Entry) -> Bool
    ) throws(Errno) -> Bool {
        let parent = try table.withNamesHeld(node, allocation) { (state) throws(Errno) in state.parent }
        guard let parent else { throw .notDirectory }
        for (name, dotCookie, dotNode) in [(".", Tree.selfCookie, node), ("..", Tree.parentCookie, parent)]
        where cookie < dotCookie {
            // The parent of a removed directory may be gone: it then stands for itself.
            let there = dotNode == parent && !table.contains(parent) ? node : dotNode
            let entry = Entry(node: there, attributes: try attributes(of: there))
            guard Array(name.utf8).withRawSpan({ body($0, dotCookie, entry) }) else { return false }
        }
        return true
    }
}
