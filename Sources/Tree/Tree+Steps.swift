import Basics
import Storage

/// What all walks through many nodes share: they go in steps, and each step holds the namespace's lock for a
/// bounded number of nodes.
extension Tree {
    /// How many nodes a step looks at: about a tenth of a millisecond's work.
    static let stepNodes = 256
    /// Between two steps, so that whoever waits for the lock gets it.
    static let pauseMicroseconds: UInt32 = 50

    /// Lends the names of a directory behind `cookie`, `left` at the most, until `body` returns false, and
    /// moves both on. Returns whether the end of the directory was reached.
    ///
    /// A name at which `body` stops or throws is lent again by the next call.
    func readNames(
        of directory: NodeID, after cookie: inout UInt64, _ left: inout Int,
        _ allocation: borrowing InodeTable.Allocation,
        _ body: (RawSpan, NameMap.Found) throws(Errno) -> Bool
    ) throws(Errno) -> Bool {
        var failure: Errno?
        var isStopped = false
        try table.withNamesHeld(directory, allocation) { (state) throws(Errno) in
            try state.readNames { names in
                names.forEach(after: cookie, in: memory) { name, found in
                    do throws(Errno) {
                        isStopped = left == 0
                        if !isStopped { isStopped = !(try body(name, found)) }
                    } catch {
                        failure = error
                    }
                    if isStopped || failure != nil { return false }
                    left -= 1
                    cookie = found.cookie
                    return true
                }
            }
        }
        if let failure { throw failure }
        return !isStopped
    }
}
