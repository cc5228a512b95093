public import Basics

/// What a filesystem must answer: one method for each request of FUSE's low-level protocol.
///
/// The kernel has checked permissions before it asks (mounts use `default_permissions`), except where a
/// method says otherwise. Every method may be called from several threads at once. A method that throws has
/// changed nothing. Names are raw bytes, 1 to 255 of them, without `/` and NUL and neither `.` nor `..`: the
/// callbacks check that. A returned `Entry` has raised the node's lookup count by one; `forget` lowers it.
public protocol FileOperations: AnyObject, Sendable {
    /// Finds `name` in a directory. Throws `.noSuchFileOrDirectory`, `.notDirectory`.
    func lookup(_ name: RawSpan, in parent: NodeID) throws(Errno) -> Entry

    /// Finds a node by its ID alone, as open_by_handle_at(2) does with an ID that the kernel may have
    /// forgotten long ago. Throws `.staleNFSFileHandle` for one that is gone.
    func revisit(_ node: NodeID) throws(Errno) -> Entry

    /// Finds the directory that a directory is in; the root is in itself. Throws `.staleNFSFileHandle`,
    /// `.notDirectory`.
    func parent(of directory: NodeID) throws(Errno) -> Entry

    /// Lowers a node's lookup count. At zero, with no link left, the node is freed. Never fails.
    func forget(_ node: NodeID, count: UInt64)

    func attributes(of node: NodeID) throws(Errno) -> Attributes

    /// Changes attributes, all or none. A change of size truncates or extends.
    func setAttributes(_ changes: AttributeChanges, of node: NodeID) throws(Errno) -> Attributes

    /// Lends the target of a symlink to `body`.
    func readLink(_ node: NodeID, _ body: (RawSpan) -> Void) throws(Errno)

    /// Makes a file of any kind but directory and symlink; `mode` has type and permission bits. The umask, of
    /// the caller, has been applied already where no ACLs were negotiated.
    func makeNode(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, device: UInt32, by caller: Caller
    ) throws(Errno) -> Entry

    /// Makes a directory. Here, in `create` and in `makeTemporary`, `mode` has permission bits alone.
    func makeDirectory(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, by caller: Caller
    ) throws(Errno) -> Entry

    func makeSymlink(
        _ name: RawSpan, in parent: NodeID, to target: RawSpan, by caller: Caller
    ) throws(Errno) -> Entry

    /// Makes a regular file, or finds the one that is there unless `exclusive`.
    func create(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, exclusive: Bool, by caller: Caller
    ) throws(Errno) -> Entry

    /// Makes a regular file without a name in the directory's filesystem (O_TMPFILE).
    func makeTemporary(
        in parent: NodeID, mode: UInt32, by caller: Caller
    ) throws(Errno) -> Entry

    /// Opens a regular file, or one that `create` or `makeTemporary` has just made. Not called for the files
    /// of a mount that declines OPEN, but for those that are made.
    func open(_ node: NodeID, for mode: OpenMode, with registry: any BackingRegistry) throws(Errno) -> Opening

    /// A file that was opened with a backing file has been closed for the last time with that descriptor.
    func release(_ node: NodeID, with registry: any BackingRegistry)

    func link(_ node: NodeID, as name: RawSpan, in parent: NodeID) throws(Errno) -> Entry

    func unlink(_ name: RawSpan, in parent: NodeID) throws(Errno)

    func removeDirectory(_ name: RawSpan, in parent: NodeID) throws(Errno)

    func rename(
        _ name: RawSpan, in parent: NodeID, to newName: RawSpan, in newParent: NodeID, flags: RenameFlags,
        by caller: Caller
    ) throws(Errno)

    /// Lends what lies in the range to `body`, at most `count` bytes, fewer only at the end of the file.
    /// The file's lock is held while `body` runs; `body` is not called when the method throws.
    func read(_ node: NodeID, at offset: Int64, count: Int, _ body: (borrowing Segments) -> Void)
        throws(Errno)

    /// Writes all of `bytes`, or throws and changes nothing. Returns how many were written: all.
    func write(_ bytes: RawSpan, to node: NodeID, at offset: Int64, droppingPrivileges: Bool) throws(Errno)
        -> Int

    /// Told of each request that is answered with ENOSPC, EDQUOT, EMFILE or EOPNOTSUPP and that would have
    /// made something grow, before its caller is, on the thread that has served it.
    ///
    /// Of a write that the kernel makes on its own account, of a page dirtied through a shared mapping, only
    /// msync(2) and fsync(2) on the mapped file tell a program: the page is lost.
    func refused(_ error: Errno, _ attempt: Attempt, by caller: Caller)

    func allocate(_ node: NodeID, mode: AllocationMode, offset: Int64, count: Int64) throws(Errno)

    func seek(_ node: NodeID, from offset: Int64, to kind: SparseSeek) throws(Errno) -> Int64

    /// Copies inside the filesystem. Returns how many bytes were copied, which may be fewer than asked.
    func copyRange(
        from source: NodeID, at sourceOffset: Int64, to target: NodeID, at targetOffset: Int64, count: Int
    ) throws(Errno) -> Int

    /// Lists a directory from behind `cookie` (0: from the start), calling `body` until it returns false.
    ///
    /// `.` and `..` come first. Cookies stay valid while entries come and go. With `counting`, each entry for
    /// which `body` returned true, except `.` and `..`, has its lookup count raised by one. No system call
    /// and no other method of the filesystem may be used inside `body`: the namespace is locked.
    func list(
        _ node: NodeID, after cookie: UInt64, counting: Bool,
        _ body: (_ name: RawSpan, _ cookie: UInt64, _ entry: Entry) -> Bool
    ) throws(Errno)

    func statistics(of node: NodeID) throws(Errno) -> FilesystemStatistics

    /// Sets an xattr. An ACL is one: with it the mode changes, and setgid goes where `setting` says so.
    func setExtendedAttribute(
        _ name: RawSpan, of node: NodeID, to value: RawSpan, _ setting: AttributeSetting, by caller: Caller
    ) throws(Errno)

    /// Lends the value to `body`. Throws `.noAttribute` (ENODATA) where there is none.
    func extendedAttribute(_ name: RawSpan, of node: NodeID, by caller: Caller, _ body: (RawSpan) -> Void)
        throws(Errno)

    /// Lends the names, each followed by a NUL, to `body`.
    func extendedAttributeNames(of node: NodeID, by caller: Caller, _ body: (RawSpan) -> Void) throws(Errno)

    func removeExtendedAttribute(_ name: RawSpan, of node: NodeID, by caller: Caller) throws(Errno)
}

extension FileOperations {
    public func refused(_ error: Errno, _ attempt: Attempt, by caller: Caller) {}
}
