public import Accounting
public import Basics
public import Storage

/// What a tree is made with.
public struct TreeConfiguration: Sendable {
    public var limits: Limits
    public var storage: StoragePolicy
    /// Permission bits of the root directory.
    public var rootMode: UInt32
    public var rootOwner: UInt32
    public var rootGroup: UInt32

    public init(
        limits: Limits, storage: StoragePolicy = StoragePolicy(), rootMode: UInt32 = 0o1777, rootOwner: UInt32 = 0,
        rootGroup: UInt32 = 0
    ) {
        self.limits = limits
        self.storage = storage
        self.rootMode = rootMode
        self.rootOwner = rootOwner
        self.rootGroup = rootGroup
    }
}

public final class Tree: Sendable {
    /// Throws `.noSpace` where the limit does not hold even the root.
    public init(_ configuration: TreeConfiguration) throws(Errno) {}

    public var usage: Usage { Usage() }
}
