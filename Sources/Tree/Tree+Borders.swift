import Accounting
import Basics
import Storage

/// What happens where a name moves, or is made, across the border of a directory with a quota.
extension Tree {
    /// The ledger of what is in a directory, without the level of a user.
    func ledger(
        of directory: NodeID, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) -> QuotaLedger {
        let ledger = try table.withState(directory) { (state) throws(Errno) in state.charge.ledger.base }
        return allocation.quotas.current(ledger)
    }

    /// Whether the border of a quota lies between two directories.
    ///
    /// While a quota is being set its border is there already, though ledgers do not show it yet.
    func isBorder(
        between source: NodeID, and target: NodeID, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) -> Bool {
        if source == target || allocation.quotas.levels.isEmpty { return false }
        guard let change = allocation.quotas.change, change.kind == .insertion else {
            return try ledger(of: source, allocation) !== ledger(of: target, allocation)
        }
        return try root(over: source, allocation) != root(over: target, allocation)
    }

    /// The innermost directory with a quota that holds `directory`; the root where there is none.
    private func root(
        over directory: NodeID, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) -> NodeID {
        var node = directory
        while node != .root, allocation.quotas.levels[node] == nil {
            let parent = try table.withNamesHeld(node, allocation) { (state) throws(Errno) in state.parent }
            guard let parent else { return node }
            node = parent
        }
        return node
    }

    /// Throws `.improperLink` (EXDEV) for what may not cross a border: a directory, and a file with another
    /// name, which would be charged to two.
    func checkMayCross(
        _ found: NameMap.Found, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        guard found.kind != .directory else { throw .improperLink }
        let links = try table.withNamesHeld(found.node, allocation) { (state) throws(Errno) in state.links }
        guard links <= 1 else { throw .improperLink }
    }

    /// Runs `body`, which gives the node its name in another directory, with the node charged to that
    /// directory's ledger, and its owner's level, from then on, nil for where it is; or throws and changes
    /// nothing.
    ///
    /// The node's lock is held while `body` takes that of the directory: so the charge cannot grow between.
    /// - Throws: `.diskQuotaExceeded` where there is no room for the node.
    func recharging(
        _ node: NodeID, to ledger: QuotaLedger?, _ body: () throws(Errno) -> Void
    ) throws(Errno) {
        guard let ledger else { return try body() }
        try change(node, as: .recharged) { (state) throws(Errno) in
            let target = users.ledger(for: state.owner, below: ledger)
            if state.charge.ledger === target { return try body() }
            state.observe(in: memory)
            if let faults = ledger.faults, faults.strikes(.reservation) { throw .diskQuotaExceeded }
            let transfer = try state.charge.transfer(to: target, nodes: 1)
            try body()
            state.charge.commit(transfer)
        }
    }

    /// Lets a link to `node` be made in a directory with `ledger`, or throws `.improperLink`.
    ///
    /// A file whose directory a quota that is being set has not reached yet is counted in it now: where
    /// another of its links is outside, that is found in the end.
    func checkMayLink(
        _ node: NodeID, to ledger: QuotaLedger, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        let own = try table.withState(node) { (state) throws(Errno) in state.charge.ledger.base }
        if allocation.quotas.current(own) === ledger { return }
        guard let change = allocation.quotas.change, change.kind == .insertion, !change.isVerifying,
            ledger.reaches(change.level),
            own.level === ledger.level || own === change.outside && ledger.level === change.level
        else { throw .improperLink }
        change.sawLinks = true
        try count(node, isDirectory: false, in: ledger, for: change, allocation)
    }

    /// A node moves within a quota that is being set, into a directory that has been read already: it is
    /// counted now. A link that moves outside is noted.
    func followMove(
        of found: NameMap.Found, from source: NodeID, to target: NodeID, as name: RawSpan,
        _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        guard let change = allocation.quotas.change, change.kind == .insertion else { return }
        let (old, new) = (try ledger(of: source, allocation), try ledger(of: target, allocation))
        let own = try table.withState(found.node) { (state) throws(Errno) in state.charge.ledger }
        if new.reaches(change.level), !own.reaches(change.level) {
            try count(
                found.node, isDirectory: found.kind == .directory, in: new, for: change, allocation)
        } else if change.isVerifying, found.kind != .directory, own.reaches(change.level),
            !old.reaches(change.level), !new.reaches(change.level)
        {
            change.stray = (target, name.bytes)
        }
    }
}

extension RawSpan {
    var bytes: [UInt8] { (0..<byteCount).map { byte(at: $0) } }
}
