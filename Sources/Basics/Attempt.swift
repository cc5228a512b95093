/// What a request wanted to do that would have made something grow.
public struct Attempt: Hashable, Sendable {
    /// Named as the system calls are.
    public enum Operation: String, Sendable {
        case create, mkdir, mknod, symlink, link, rename, open, write, truncate, chown, fallocate
        case setxattr, removexattr
        case tmpfile = "O_TMPFILE"
        case copy = "copy_file_range"
        /// The kernel's own write of a page that a program has dirtied through a mapping.
        case writeback
    }

    public let operation: Operation
    /// The file itself, or the directory where there is a name.
    public let node: NodeID
    /// The name that was to be made.
    public let name: [UInt8]?
    /// Where in the file, in bytes.
    public let offset: Int64?

    public init(_ operation: Operation, _ node: NodeID, name: [UInt8]? = nil, at offset: Int64? = nil) {
        self.operation = operation
        self.node = node
        self.name = name
        self.offset = offset
    }
}
