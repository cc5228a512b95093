public import Basics

/// One request that the limits have refused: what was wanted, by whom, and why it was not to be had.
public struct Refusal: Sendable {
    /// What the caller is told.
    public let error: Errno
    /// nil where memory or addresses were not to be had, which is no limit's doing.
    public let note: RefusalNote?
    public let attempt: Attempt
    /// The inode number of the attempt's node; 0 where that is gone.
    public let number: UInt64
    public let caller: Caller
}
