import Basics
import CFuseShim

/// Lends the operations that a callback's context stands for, without counting a reference: every request
/// would count on the same word, from all threads.
@inline(__always)
@unsafe func lendOperations(of context: UnsafeMutableRawPointer, _ body: (any FileOperations) -> Void) {
    unsafe Unmanaged<SessionContext>.fromOpaque(context)._withUnsafeGuaranteedRef { body($0.operations) }
}

extension FileOperations {
    /// Takes back the reference that an entry handed out, where the kernel did not take the reply.
    @inline(__always)
    func keep(_ entry: Entry, if delivered: Bool) {
        if !delivered { forget(entry.node, count: 1) }
    }
}
