public import Basics
public import Fuse
public import Tree

/// Answers the requests of a connection that only reads, while nothing in the tree can change: with the tree
/// what reads, and with EROFS all else.
///
/// A name that cannot go away holds its node, so that this connection holds none: what a lookup has counted
/// is given back at once, a forget means nothing, and there is nothing left over when the connection ends,
/// which the kernel would not tell. It must end before the tree may change again.
public final class FrozenView: FileOperations {
    private let tree: Tree

    public init(of tree: Tree) {
        self.tree = tree
    }

    /// An entry that the kernel gets, but that is not counted as held.
    private func uncounted(_ entry: Entry) -> Entry {
        tree.forget(entry.node, count: 1)
        return entry
    }

    // MARK: Reading

    public func lookup(_ name: RawSpan, in parent: NodeID) throws(Errno) -> Entry {
        uncounted(try tree.lookup(name, in: parent))
    }

    public func revisit(_ node: NodeID) throws(Errno) -> Entry {
        uncounted(try tree.revisit(node))
    }

    public func parent(of directory: NodeID) throws(Errno) -> Entry {
        uncounted(try tree.parent(of: directory))
    }

    public func forget(_ node: NodeID, count: UInt64) {}

    public func attributes(of node: NodeID) throws(Errno) -> Attributes {
        try tree.attributes(of: node)
    }

    public func readLink(_ node: NodeID, _ body: (RawSpan) -> Void) throws(Errno) {
        try tree.readLink(node, body)
    }

    public func open(
        _ node: NodeID, for mode: OpenMode, with registry: any BackingRegistry
    ) throws(Errno) -> Opening {
        guard mode == .reading else { throw .readOnlyFileSystem }
        return Opening()
    }

    public func release(_ node: NodeID, with registry: any BackingRegistry) {}

    public func read(
        _ node: NodeID, at offset: Int64, count: Int, _ body: (borrowing Segments) -> Void
    ) throws(Errno) {
        // Nobody can store through a mapping here.
        try tree.read(node, at: offset, count: count, forCache: false, body)
    }

    public func seek(_ node: NodeID, from offset: Int64, to kind: SparseSeek) throws(Errno) -> Int64 {
        try tree.seek(node, from: offset, to: kind)
    }

    public func list(
        _ node: NodeID, after cookie: UInt64, counting: Bool,
        _ body: (_ name: RawSpan, _ cookie: UInt64, _ entry: Entry) -> Bool
    ) throws(Errno) {
        try tree.list(node, after: cookie, counting: false, body)
    }

    public func statistics(of node: NodeID) throws(Errno) -> FilesystemStatistics {
        try tree.statistics(of: node)
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

    // MARK: Changing

    public func setAttributes(_ changes: AttributeChanges, of node: NodeID) throws(Errno) -> Attributes {
        throw .readOnlyFileSystem
    }

    public func makeNode(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, device: UInt32, by caller: Caller
    ) throws(Errno) -> Entry {
        throw .readOnlyFileSystem
    }

    public func makeDirectory(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, by caller: Caller
    ) throws(Errno) -> Entry {
        throw .readOnlyFileSystem
    }

    public func makeSymlink(
        _ name: RawSpan, in parent: NodeID, to target: RawSpan, by caller: Caller
    ) throws(Errno) -> Entry {
        throw .readOnlyFileSystem
    }

    public func create(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, exclusive: Bool, by caller: Caller
    ) throws(Errno) -> Entry {
        throw .readOnlyFileSystem
    }

    public func makeTemporary(in parent: NodeID, mode: UInt32, by caller: Caller) throws(Errno) -> Entry {
        throw .readOnlyFileSystem
    }

    public func link(_ node: NodeID, as name: RawSpan, in parent: NodeID) throws(Errno) -> Entry {
        throw .readOnlyFileSystem
    }

    public func unlink(_ name: RawSpan, in parent: NodeID) throws(Errno) { throw .readOnlyFileSystem }

    public func removeDirectory(_ name: RawSpan, in parent: NodeID) throws(Errno) {
        throw .readOnlyFileSystem
    }

    public func rename(
        _ name: RawSpan, in parent: NodeID, to newName: RawSpan, in newParent: NodeID, flags: RenameFlags,
        by caller: Caller
    ) throws(Errno) {
        throw .readOnlyFileSystem
    }

    public func write(
        _ bytes: RawSpan, to node: NodeID, at offset: Int64, droppingPrivileges: Bool
    ) throws(Errno) -> Int {
        throw .readOnlyFileSystem
    }

    public func allocate(_ node: NodeID, mode: AllocationMode, offset: Int64, count: Int64) throws(Errno) {
        throw .readOnlyFileSystem
    }

    public func copyRange(
        from source: NodeID, at sourceOffset: Int64, to target: NodeID, at targetOffset: Int64, count: Int
    ) throws(Errno) -> Int {
        throw .readOnlyFileSystem
    }

    public func setExtendedAttribute(
        _ name: RawSpan, of node: NodeID, to value: RawSpan, _ setting: AttributeSetting, by caller: Caller
    ) throws(Errno) {
        throw .readOnlyFileSystem
    }

    public func removeExtendedAttribute(_ name: RawSpan, of node: NodeID, by caller: Caller) throws(Errno) {
        throw .readOnlyFileSystem
    }
}
