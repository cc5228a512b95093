public import Basics

/// How much a mount may hold.
public struct Limits: Hashable, Sendable {
    /// The most that data and metadata may take together, in bytes; above 0.
    public var bytes: Int
    /// The most nodes, the root among them; nil where only the bytes bound them.
    public var nodes: Int?
    /// What the node that is one too many fails with: EMFILE, ENOSPC or EDQUOT.
    public var nodeLimitErrno: Errno

    public init(bytes: Int, nodes: Int? = nil, nodeLimitErrno: Errno = .tooManyOpenFiles) {
        self.bytes = bytes
        self.nodes = nodes
        self.nodeLimitErrno = nodeLimitErrno
    }
}
