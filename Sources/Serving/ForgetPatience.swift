import Basics
import Synchronization
import Tree

/// Patience with the kernel's forgets.
///
/// A node that has lost its last name is freed when the kernel forgets it, and the kernel says so in a
/// message of its own, after the removal has returned. A program that removes a file on a full mount and at
/// once makes another would be refused although there is room for it a moment later. So a request that is
/// refused while there are nodes without a name waits for one of them to end, for some milliseconds at the
/// most, and is tried again.
///
/// An end that has begun is waited for longer: a large file takes a while to free.
///
/// Not all workers may wait at once: somebody must read the forget.
struct ForgetPatience: ~Copyable, Sendable {
    private static let pauseMicroseconds: UInt32 = 50
    private static let pauses = 100
    private static let pausesForEnd = 10_000

    private let tree: Tree
    private let waitersLimit: Int
    private let waiters = Atomic<Int>(0)

    init(with tree: Tree, waitersLimit: Int) {
        self.tree = tree
        self.waitersLimit = waitersLimit
    }

    /// Runs `operation`, again where it was refused and a node has ended since.
    func withRetries<Result>(_ operation: () throws(Errno) -> Result) throws(Errno) -> Result {
        var ended = tree.endedNodes
        do {
            return try operation()
        } catch {
            guard tree.isRefusal(error), tree.hasOrphans else { throw error }
            var refusal = error
            guard waiters.wrappingAdd(1, ordering: .relaxed).newValue <= waitersLimit else {
                waiters.wrappingSubtract(1, ordering: .relaxed)
                throw error
            }
            defer { waiters.wrappingSubtract(1, ordering: .relaxed) }
            var pauses = 0
            while pauses < (tree.isEnding ? ForgetPatience.pausesForEnd : ForgetPatience.pauses) {
                pauses += 1
                if tree.endedNodes == ended {
                    Thread.pause(microseconds: ForgetPatience.pauseMicroseconds)
                    continue
                }
                ended = tree.endedNodes
                // Nobody has seen the refusal before.
                tree.withdrawRefusal(refusal)
                do {
                    return try operation()
                } catch {
                    guard tree.isRefusal(error) else { throw error }
                    refusal = error
                }
            }
            throw refusal
        }
    }
}
