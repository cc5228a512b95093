import Accounting
public import Basics
import Storage

/// rename(2) and renameat2(2).
extension Tree {
    /// A name, where it is, and what it stands for.
    private struct Named {
        var parent: NodeID
        var found: NameMap.Found
        var isDirectory: Bool { found.kind == .directory }
    }

    /// Where a name goes.
    private struct Destination {
        var parent: NodeID
        /// What the node is charged to from then on; nil for where it is.
        var ledger: QuotaLedger?
        /// What has the new name now.
        var replaced: Named?
    }

    /// Renames, replaces or exchanges. Under the namespace's lock throughout, so that nobody sees a half of
    /// it.
    public func rename(
        _ name: RawSpan, in parent: NodeID, to newName: RawSpan, in newParent: NodeID, flags: RenameFlags,
        by caller: Caller
    ) throws(Errno) {
        guard flags.isSubset(of: [.noReplace, .exchange, .whiteout]),
            !flags.contains(.exchange) || flags == .exchange
        else { throw .invalidArgument }
        let ended: Inode? = try namespace.withLock { (allocation) throws(Errno) in
            let source = Named(parent: parent, found: try find(name, in: parent, allocation))
            let place = try place(in: newParent, allocation)
            let target = try findIfThere(newName, in: newParent, allocation).map {
                Named(parent: newParent, found: $0)
            }
            let crosses = try isBorder(between: parent, and: newParent, allocation)
            if flags.contains(.exchange) {
                guard let target else { throw .noSuchFileOrDirectory }
                if crosses { throw .improperLink }
                try followMove(of: source.found, from: parent, to: newParent, as: newName, allocation)
                try followMove(of: target.found, from: newParent, to: parent, as: name, allocation)
                try exchange(name, source, newName, target, allocation)
                return nil
            }
            if target != nil, flags.contains(.noReplace) { throw .fileExists }
            // Two names of one node: POSIX has both stay.
            if let target, target.found.node == source.found.node { return nil }
            if crosses { try checkMayCross(source.found, allocation) }
            if source.isDirectory { try checkOutside(newParent, of: source.found.node, allocation) }
            if let target { try checkReplaceable(target, by: source, allocation) }
            if !crosses {
                try followMove(of: source.found, from: parent, to: newParent, as: newName, allocation)
            }
            let destination = Destination(
                parent: newParent, ledger: crosses ? place.ledger : nil, replaced: target)
            return try move(name, source, to: newName, in: destination, flags, by: caller, &allocation)
        }
        end(ended)
    }

    /// Throws `.invalidArgument` where `directory` lies in `moved` or is it.
    private func checkOutside(
        _ directory: NodeID, of moved: NodeID, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        var ancestor = directory
        while true {
            if ancestor == moved { throw .invalidArgument }
            if ancestor == .root { return }
            let next = try table.withNamesHeld(ancestor, allocation) { (state) throws(Errno) in state.parent }
            guard let next else { return }
            ancestor = next
        }
    }

    private func checkReplaceable(
        _ target: Named, by source: Named, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        if source.isDirectory, !target.isDirectory { throw .notDirectory }
        if !source.isDirectory, target.isDirectory { throw .isDirectory }
        if target.isDirectory { try checkEmpty(target.found.node, allocation) }
    }

    private func move(
        _ name: RawSpan, _ source: Named, to newName: RawSpan, in destination: Destination,
        _ flags: RenameFlags, by caller: Caller, _ allocation: inout InodeTable.Allocation
    ) throws(Errno) -> Inode? {
        let moved = source.found
        let (newParent, target) = (destination.parent, destination.replaced)
        let whiteout =
            flags.contains(.whiteout) ? try makeWhiteout(in: source.parent, caller, &allocation) : nil
        // The new name, and room for the node where it goes, are all that can still be refused.
        do throws(Errno) {
            try recharging(moved.node, to: destination.ledger) { () throws(Errno) in
                if target != nil {
                    try replaceName(newName, in: newParent, by: moved.node, moved.kind)
                } else {
                    try addName(newName, to: newParent, moved.node, moved.kind)
                }
            }
        } catch {
            // Ended under the lock: it is a device, and has nothing to free that takes long.
            if let whiteout { end(table.remove(whiteout, &allocation)) }
            throw error
        }
        if let whiteout {
            try replaceName(name, in: source.parent, by: whiteout, .characterDevice)
        } else {
            try removeName(name, from: source.parent)
        }
        try markMoved(moved.node)
        if source.isDirectory {
            try table.withState(moved.node) { (state) throws(Errno) in state.setParent(newParent) }
            try addLinks(-1, to: source.parent)
            try addLinks(1, to: newParent)
        }
        guard let target else { return nil }
        if target.isDirectory { try addLinks(-1, to: newParent) }
        try dropLink(target.found.node)
        dropQuota(of: target.found.node, &allocation)
        return try takeIfEnded(target.found.node, &allocation)
    }

    /// The character device 0/0 that overlayfs takes for "nothing here".
    private func makeWhiteout(
        in parent: NodeID, _ caller: Caller, _ allocation: inout InodeTable.Allocation
    ) throws(Errno) -> NodeID {
        let place = try place(in: parent, allocation)
        let new = NewNode(mode: FileKind.characterDevice.rawValue, device: 0, caller: caller)
        return try [].withRawSpan { (target) throws(Errno) in
            try makeInode(new, in: place, target, &allocation)
        }
    }

    private func exchange(
        _ name: RawSpan, _ source: Named, _ newName: RawSpan, _ target: Named,
        _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        if source.isDirectory { try checkOutside(target.parent, of: source.found.node, allocation) }
        if target.isDirectory { try checkOutside(source.parent, of: target.found.node, allocation) }
        try replaceName(name, in: source.parent, by: target.found.node, target.found.kind)
        try replaceName(newName, in: target.parent, by: source.found.node, source.found.kind)
        for (moved, parent) in [(source, target.parent), (target, source.parent)] {
            try markMoved(moved.found.node)
            guard moved.isDirectory else { continue }
            try table.withState(moved.found.node) { (state) throws(Errno) in state.setParent(parent) }
            try addLinks(-1, to: moved.parent)
            try addLinks(1, to: parent)
        }
    }

    private func markMoved(_ node: NodeID) throws(Errno) {
        let now = configuration.clock.now()
        try table.withState(node) { (state) throws(Errno) in state.changed = Timestamp32(now) }
    }
}
