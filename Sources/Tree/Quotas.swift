import Accounting
import Basics

/// Which directories have a quota, and the change of one that is under way. Guarded by the namespace's lock.
struct Quotas: ~Copyable {
    /// The levels by their directory. What is in the directory, and the directory itself, is charged to a
    /// ledger of that level.
    var levels: [NodeID: QuotaLevel] = [:]
    /// At most one at a time, of a directory's or of a user's.
    var change: QuotaChange?
    /// Whether a user's limit is being set or taken away.
    var isChangingUser = false
    var isChanging: Bool { change != nil || isChangingUser }

    /// The ledger of what is made now where `ledger` is that of the directory, both without a user's level:
    /// without a level that is on its way out.
    func current(_ ledger: QuotaLedger) -> QuotaLedger {
        guard let change, change.kind == .removal else { return ledger }
        return change.successor(of: ledger)
    }
}

/// A level that is being put over what is in a directory, or taken away from it, while the tree is in use.
///
/// **Insertion** goes from the directory down. A directory is moved to the new ledger first and read then, so
/// that what is made in it meanwhile is charged rightly from the start, and what comes into it by rename or
/// link is moved by the operation that brings it. What has been moved and not read waits in a row that is
/// linked through the directories themselves, which needs no memory; each is held by a lookup of its own, so
/// that its slot stays while it waits. Since the new level is above everything that the old one is, moving a
/// charge only adds to it, and cannot be refused as long as it has no limit.
///
/// **Removal** goes through the table of inodes: from its start on nothing new is charged to the level, so
/// that each inode needs to be seen once. It reaches files without a name too, and also undoes an insertion
/// that was given up.
///
/// Guarded by the namespace's lock.
final class QuotaChange {
    enum Kind {
        case insertion
        case removal
    }

    let kind: Kind
    let level: QuotaLevel
    let directory: NodeID
    /// The ledger above the level, and the one of the level.
    let outside: QuotaLedger
    let inside: QuotaLedger

    /// The first directory of the row that is moved and not read.
    var first: NodeID?
    /// The directory that is being read, and behind which cookie.
    var reading: NodeID?
    var cookie: UInt64 = 0
    /// Whether a file with several links was moved: one of them may be outside. Stays as it is once all is
    /// moved.
    var sawLinks = false
    /// Whether all is moved, and only links from outside are looked for: what is not moved is outside.
    var isVerifying = false
    /// A link from outside: its directory and its name.
    var stray: (parent: NodeID, name: [UInt8])?
    /// The slot to look at next.
    var slot = 0

    /// Ledgers of inner quotas that reach the level, and what takes their place when it is gone: for an
    /// insertion those that were there before, so that what is not moved yet has the same once it is undone.
    private var successors: [ObjectIdentifier: (old: QuotaLedger, new: QuotaLedger)] = [:]

    /// - Parameter insertion: what a removal undoes; nil where the level was there.
    init(
        _ kind: Kind, of level: QuotaLevel, on directory: NodeID, below outside: QuotaLedger,
        undoing insertion: QuotaChange? = nil
    ) {
        self.kind = kind
        self.level = level
        self.directory = directory
        self.outside = outside
        inside = QuotaLedger(level, below: outside)
        guard let insertion else { return }
        successors = insertion.successors
        first = insertion.first
        // What is looked at for links from outside is not held.
        if !insertion.isVerifying { reading = insertion.reading }
    }

    /// A new ledger for what is in a directory with an inner quota, in the course of an insertion.
    func ledger(for inner: QuotaLevel, below ledger: QuotaLedger, insteadOf old: QuotaLedger) -> QuotaLedger {
        let new = QuotaLedger(inner, below: ledger)
        successors[ObjectIdentifier(new)] = (new, old)
        return new
    }

    /// The ledger that takes the place of `ledger` when the level is gone; itself where it does not reach it.
    /// Both are without a user's level.
    ///
    /// A file without a name may still have a ledger of before an outer quota came. Bytes that were set aside
    /// cannot follow it out of that: it keeps its ledger, and them, until it ends.
    func successor(of ledger: QuotaLedger) -> QuotaLedger {
        guard let parent = ledger.parent, ledger.reaches(level) else { return ledger }
        if ledger.level === level { return level.isSetAside && parent !== outside ? ledger : parent }
        let key = ObjectIdentifier(ledger)
        if let known = successors[key] { return known.new }
        let above = successor(of: parent)
        let new = above === parent ? ledger : QuotaLedger(ledger.level, below: above)
        successors[key] = (ledger, new)
        return new
    }
}
