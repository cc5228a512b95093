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
/// Not all workers may wait at once: somebody must read the forget. For a node that is being freed, which is
/// a matter of its size, all may wait, and until it is done: whoever frees it waits for nobody.
struct ForgetPatience: ~Copyable, Sendable {
    private static let pauseMicroseconds: UInt32 = 50
    private static let pauses = 100
    /// Where others go on removing, nodes end all the time.
    private static let retries = 100

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
            guard tree.isRefusal(error), waitersLimit > 0 else { throw error }
            var refusal = error
            let mayWait = waiters.wrappingAdd(1, ordering: .relaxed).newValue <= waitersLimit
            defer { waiters.wrappingSubtract(1, ordering: .relaxed) }
            var pauses = mayWait && tree.hasOrphans ? ForgetPatience.pauses : 0
            var retries = ForgetPatience.retries
            while retries > 0 {
                // In this order: a node that ends between the two questions has ended.
                let isEnding = tree.isEndingNodes
                if tree.endedNodes == ended {
                    guard isEnding || pauses > 0 else { break }
                    if !isEnding { pauses -= 1 }
                    Thread.pause(microseconds: ForgetPatience.pauseMicroseconds)
                    continue
                }
                ended = tree.endedNodes
                retries -= 1
                // Nobody has seen the refusal before.
                tree.withdrawRefusal()
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

    /// Waits a little for what has just been removed, so that figures that are asked for now tell of it.
    /// Where nothing ends, since the nodes without a name are open, that is a millisecond or two.
    func settle() {
        let mayWait = waiters.wrappingAdd(1, ordering: .relaxed).newValue <= waitersLimit
        defer { waiters.wrappingSubtract(1, ordering: .relaxed) }
        guard mayWait else { return }
        var ended = tree.endedNodes
        var pauses = ForgetPatience.pauses
        var idlePauses = 0
        while tree.hasOrphans, pauses > 0, idlePauses < 20 {
            Thread.pause(microseconds: ForgetPatience.pauseMicroseconds)
            let isEnding = tree.isEndingNodes
            let hasEnded = tree.endedNodes != ended
            ended = tree.endedNodes
            // A large one takes as long as it takes.
            if isEnding, !hasEnded { continue }
            pauses -= 1
            idlePauses = hasEnded ? 0 : idlePauses + 1
        }
    }
}
