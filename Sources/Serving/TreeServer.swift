public import Basics
public import Fuse
public import Tree

/// Answers FUSE requests with a tree.
///
/// The two halves speak the same values, so that there is nothing to translate; what a mount counts of its
/// requests will be counted here.
public final class TreeServer: FileOperations {
    private let tree: Tree
    private let patience: ForgetPatience
    private let policy: OpenPolicy
    private let reportRefusal: @Sendable (Refusal) -> Void

    /// - Parameters:
    ///   - policy: with which flags files are opened; it must fit the tree's memory and the mount's options.
    ///   - waiters: how many requests may wait at once for the kernel's forgets: one less than there are
    ///     threads that serve, or 0 where no kernel asks.
    ///   - reportRefusal: told what the limits have refused, and to whom, before he is; must be quick.
    public init(
        _ tree: Tree, opening policy: OpenPolicy = .cached, waiters: Int = 0,
        reportRefusal: @escaping @Sendable (Refusal) -> Void = { _ in }
    ) {
        self.reportRefusal = reportRefusal
        self.tree = tree
        self.policy = policy
        patience = ForgetPatience(with: tree, waitersLimit: waiters)
    }

    public func lookup(_ name: RawSpan, in parent: NodeID) throws(Errno) -> Entry {
        try tree.lookup(name, in: parent)
    }

    public func revisit(_ node: NodeID) throws(Errno) -> Entry {
        try tree.revisit(node)
    }

    public func parent(of directory: NodeID) throws(Errno) -> Entry {
        try tree.parent(of: directory)
    }

    public func forget(_ node: NodeID, count: UInt64) {
        tree.forget(node, count: count)
    }

    public func attributes(of node: NodeID) throws(Errno) -> Attributes {
        try tree.attributes(of: node)
    }

    public func setAttributes(_ changes: AttributeChanges, of node: NodeID) throws(Errno) -> Attributes {
        try patience.withRetries { () throws(Errno) in
            try tree.setAttributes(changes, of: node)
        }
    }

    public func readLink(_ node: NodeID, _ body: (RawSpan) -> Void) throws(Errno) {
        try tree.readLink(node, body)
    }

    public func makeNode(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, device: UInt32, by caller: Caller
    ) throws(Errno) -> Entry {
        try patience.withRetries { () throws(Errno) in
            try tree.makeNode(name, in: parent, mode: mode, device: device, by: caller)
        }
    }

    public func makeDirectory(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, by caller: Caller
    ) throws(Errno) -> Entry {
        try patience.withRetries { () throws(Errno) in
            try tree.makeDirectory(name, in: parent, mode: mode, by: caller)
        }
    }

    public func makeSymlink(
        _ name: RawSpan, in parent: NodeID, to target: RawSpan, by caller: Caller
    ) throws(Errno) -> Entry {
        try patience.withRetries { () throws(Errno) in
            try tree.makeSymlink(name, in: parent, to: target, by: caller)
        }
    }

    public func create(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, exclusive: Bool, by caller: Caller
    ) throws(Errno) -> Entry {
        try patience.withRetries { () throws(Errno) in
            try tree.create(name, in: parent, mode: mode, exclusive: exclusive, by: caller)
        }
    }

    public func makeTemporary(in parent: NodeID, mode: UInt32, by caller: Caller) throws(Errno) -> Entry {
        try patience.withRetries { () throws(Errno) in
            try tree.makeTemporary(in: parent, mode: mode, by: caller)
        }
    }

    public func open(
        _ node: NodeID, for mode: OpenMode, with registry: any BackingRegistry
    ) throws(Errno) -> Opening {
        guard policy.passesThrough else { return policy.opening(mode, backing: 0) }
        do {
            let backing = try patience.withRetries { () throws(Errno) in
                try tree.open(node, for: mode, with: registry)
            }
            return policy.opening(mode, backing: backing)
        } catch {
            // An empty file has nothing behind it, and there is no room to change that: it can be read.
            guard mode == .reading, tree.isRefusal(error) else { throw error }
            tree.withdrawRefusal()
            return policy.opening(mode, backing: 0)
        }
    }

    public func release(_ node: NodeID, with registry: any BackingRegistry) {
        tree.release(node, with: registry)
    }

    public func link(_ node: NodeID, as name: RawSpan, in parent: NodeID) throws(Errno) -> Entry {
        try patience.withRetries { () throws(Errno) in
            try tree.link(node, as: name, in: parent)
        }
    }

    public func unlink(_ name: RawSpan, in parent: NodeID) throws(Errno) {
        try tree.unlink(name, in: parent)
    }

    public func removeDirectory(_ name: RawSpan, in parent: NodeID) throws(Errno) {
        try tree.removeDirectory(name, in: parent)
    }

    public func rename(
        _ name: RawSpan, in parent: NodeID, to newName: RawSpan, in newParent: NodeID, flags: RenameFlags,
        by caller: Caller
    ) throws(Errno) {
        try patience.withRetries { () throws(Errno) in
            try tree.rename(name, in: parent, to: newName, in: newParent, flags: flags, by: caller)
        }
    }

    public func read(
        _ node: NodeID, at offset: Int64, count: Int, _ body: (borrowing Segments) -> Void
    ) throws(Errno) {
        try tree.read(node, at: offset, count: count, body)
    }

    public func write(
        _ bytes: RawSpan, to node: NodeID, at offset: Int64, droppingPrivileges: Bool
    ) throws(Errno) -> Int {
        try patience.withRetries { () throws(Errno) in
            try tree.write(bytes, to: node, at: offset, droppingPrivileges: droppingPrivileges)
        }
    }

    public func refused(_ error: Errno, _ attempt: Attempt, by caller: Caller) {
        var note = RefusalNote.take()
        // One that somebody has left by mistake would tell of another limit.
        if note?.fits(error) == false { note = nil }
        // Without a note it is no limit of ours, but for memory or addresses that are not to be had.
        guard note != nil || error == .noSpace else { return }
        if attempt.operation == .writeback { tree.countLostPage(insteadOf: note) }
        let number: UInt64
        do throws(Errno) {
            number = try tree.number(of: attempt.node)
        } catch {
            // The file has ended meanwhile: nobody misses the page.
            if attempt.operation == .writeback { return }
            number = 0
        }
        reportRefusal(Refusal(error: error, note: note, attempt: attempt, number: number, caller: caller))
    }

    public func allocate(_ node: NodeID, mode: AllocationMode, offset: Int64, count: Int64) throws(Errno) {
        try patience.withRetries { () throws(Errno) in
            try tree.allocate(node, mode: mode, offset: offset, count: count)
        }
    }

    public func seek(_ node: NodeID, from offset: Int64, to kind: SparseSeek) throws(Errno) -> Int64 {
        try tree.seek(node, from: offset, to: kind)
    }

    public func copyRange(
        from source: NodeID, at sourceOffset: Int64, to target: NodeID, at targetOffset: Int64, count: Int
    ) throws(Errno) -> Int {
        try patience.withRetries { () throws(Errno) in
            try tree.copyRange(from: source, at: sourceOffset, to: target, at: targetOffset, count: count)
        }
    }

    public func list(
        _ node: NodeID, after cookie: UInt64, counting: Bool,
        _ body: (_ name: RawSpan, _ cookie: UInt64, _ entry: Entry) -> Bool
    ) throws(Errno) {
        try tree.list(node, after: cookie, counting: counting, body)
    }

    public func statistics(of node: NodeID) throws(Errno) -> FilesystemStatistics {
        patience.settle()
        return try tree.statistics(of: node)
    }

    public func setExtendedAttribute(
        _ name: RawSpan, of node: NodeID, to value: RawSpan, _ setting: AttributeSetting, by caller: Caller
    ) throws(Errno) {
        try patience.withRetries { () throws(Errno) in
            try tree.setExtendedAttribute(name, of: node, to: value, setting, by: caller)
        }
    }

    public func extendedAttribute(
        _ name: RawSpan, of node: NodeID, by caller: Caller, _ body: (RawSpan) -> Void
    ) throws(Errno) {
        try tree.extendedAttribute(name, of: node, by: caller, body)
    }

    public func extendedAttributeNames(
        of node: NodeID, by caller: Caller, _ body: (RawSpan) -> Void
    ) throws(Errno) {
        try tree.extendedAttributeNames(of: node, by: caller, body)
    }

    public func removeExtendedAttribute(_ name: RawSpan, of node: NodeID, by caller: Caller) throws(Errno) {
        try tree.removeExtendedAttribute(name, of: node, by: caller)
    }
}
