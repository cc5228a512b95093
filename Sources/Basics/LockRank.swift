import CLinux

/// Where a lock stands in the order: a thread may take a lock only of a higher rank than all that it holds.
///
/// `LockOrder.md` says what each guards. A debug build stops the program at the first violation, whether or
/// not it would have come to a deadlock; a release build checks nothing.
public enum LockRank: UInt32, Sendable {
    /// All names of a tree.
    case namespace = 1
    /// One inode. Never two at once.
    case inode
    /// Pages, or blocks. Never both at once.
    case memory
    /// The one reading of the memory guard that is being made.
    case memoryGuard
    /// Whatever takes no other lock while it is held.
    case leaf

    private var bit: UInt32 { 1 << rawValue }

    /// This thread is about to take a lock of this rank.
    @inline(__always)
    func willTake() {
        #if DEBUG
            let held = unsafe linux_thread_word()
            // Neither a higher rank nor another lock of the same one, which may be this very lock.
            guard unsafe held.pointee < bit else {
                let highest = unsafe UInt32(31 - held.pointee.leadingZeroBitCount)
                let name = LockRank(rawValue: highest).map { "\($0)" } ?? "unknown"
                preconditionFailure("lock order: '\(self)' may not be taken while '\(name)' is held")
            }
            unsafe held.pointee |= bit
        #endif
    }

    /// This thread has released its lock of this rank.
    @inline(__always)
    func didRelease() {
        #if DEBUG
            let held = unsafe linux_thread_word()
            precondition(
                unsafe held.pointee & bit != 0, "lock order: '\(self)' is released, but was not held")
            unsafe held.pointee &= ~bit
        #endif
    }
}
