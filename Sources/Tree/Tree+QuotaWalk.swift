import Accounting
import Basics
import Storage

/// The steps of a change of quotas (`QuotaChange`). Each holds the namespace's lock for a bounded number of
/// nodes.
extension Tree {
    /// How many levels there may be within one another, the mount's among them.
    static let depthLimit = 16

    /// What a step leaves: whether there is more to do, and an inode that has ended.
    struct StepEnd: ~Copyable {
        var goesOn: Bool
        var ended: Inode?
    }

    /// Runs steps until one has nothing left to do.
    func runSteps(
        _ step: (inout InodeTable.Allocation) throws(Errno) -> StepEnd
    ) throws(Errno) {
        while true {
            let result = try namespace.withLock { (allocation) throws(Errno) in try step(&allocation) }
            let goesOn = result.goesOn
            end(result.ended)
            guard goesOn else { return }
            Thread.pause(microseconds: Tree.pauseMicroseconds)
        }
    }

    // MARK: - Insertion

    /// Counts a node in the level of an insertion, unless it is already: it lies in a directory with
    /// `ledger`, which is without a user's level. A directory then waits to be read.
    func count(
        _ node: NodeID, isDirectory: Bool, in ledger: QuotaLedger, for change: QuotaChange,
        _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        let inner = isDirectory ? allocation.quotas.levels[node] : nil
        guard ledger.depth + (inner == nil ? 0 : 1) <= Tree.depthLimit else { throw .tooManyLinks }
        let isNew = try self.change(node) { (state) throws(Errno) in
            let old = state.charge.ledger.base
            guard !old.reaches(change.level) else { return false }
            state.observe(in: memory)
            if let faults = old.faults, faults.strikes(.reservation) { throw .diskQuotaExceeded }
            let target = inner.map { change.ledger(for: $0, below: ledger, insteadOf: old) } ?? ledger
            try state.charge.move(
                nodes: 1, to: users.ledger(for: state.owner, below: target), leaving: nil)
            if !isDirectory, state.links > 1 { change.sawLinks = true }
            return true
        }
        guard isNew else { return }
        try inner?.moveHolding(to: ledger)
        if isDirectory { try append(node, to: change, allocation) }
    }

    /// Has a directory wait to be read: linked through itself, and held by a lookup.
    func append(
        _ directory: NodeID, to change: QuotaChange, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        try table.withState(directory) { (state) throws(Errno) in state.setNext(change.first) }
        try table.addLookup(directory, allocation)
        change.first = directory
    }

    /// Begins with the next directory of the row; false where none waits.
    private func takeNext(
        of change: QuotaChange, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) -> Bool {
        guard let next = change.first else { return false }
        let index = try table.withNamesHeld(next, allocation) { (state) throws(Errno) in state.nextIndex }
        change.first = index == 0 ? nil : table.node(at: index)
        change.reading = next
        change.cookie = 0
        return true
    }

    /// Lets go of the directory that was read. Returns it where it has ended meanwhile.
    private func letGo(
        of directory: NodeID, _ change: QuotaChange, _ allocation: inout InodeTable.Allocation
    ) throws(Errno) -> Inode? {
        change.reading = nil
        _ = try table.dropLookups(directory, 1, allocation)
        return try takeIfEnded(directory, &allocation)
    }

    /// Reads on in what waits, and counts what it finds.
    func insertionStep(
        _ change: QuotaChange, _ allocation: inout InodeTable.Allocation
    ) throws(Errno) -> StepEnd {
        var left = Tree.stepNodes
        while left > 0 {
            guard let directory = change.reading else {
                left -= 1
                guard try takeNext(of: change, allocation) else {
                    // Not a moment later: the next operation must find the border closed.
                    change.isVerifying = true
                    return StepEnd(goesOn: false)
                }
                continue
            }
            let ledger = try ledger(of: directory, allocation)
            let isRead = try readNames(of: directory, after: &change.cookie, &left, allocation) {
                (_, found) throws(Errno) in
                try count(
                    found.node, isDirectory: found.kind == .directory, in: ledger, for: change, allocation)
                return true
            }
            guard isRead else { continue }
            if let ended = try letGo(of: directory, change, &allocation) {
                return StepEnd(goesOn: true, ended: ended)
            }
        }
        return StepEnd(goesOn: true)
    }

    // MARK: - Links from outside

    /// Looks on, in the directories outside, for a name of a file that is counted inside.
    ///
    /// While that goes on nobody can make another such name, and where one is moved `followMove` notes it.
    func verificationStep(
        _ change: QuotaChange, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) -> Bool {
        var left = Tree.stepNodes
        while left > 0, change.stray == nil {
            guard let directory = change.reading else {
                guard let next = table.next(from: change.slot, steps: left, allocation) else { return false }
                change.slot = next.index
                left -= 1
                guard let node = next.node else { break }
                if try isDirectory(node, outside: change.level) {
                    change.reading = node
                    change.cookie = 0
                }
                continue
            }
            // It is not held, and may have gone since the last step.
            guard table.contains(directory) else {
                change.reading = nil
                continue
            }
            let isRead = try readNames(of: directory, after: &change.cookie, &left, allocation) {
                (name, found) throws(Errno) in
                guard found.kind != .directory else { return true }
                let isInside = try table.withState(found.node) { (state) throws(Errno) in
                    state.charge.ledger.reaches(change.level)
                }
                if isInside { change.stray = (directory, name.bytes) }
                return !isInside
            }
            if isRead { change.reading = nil }
        }
        return change.stray == nil
    }

    private func isDirectory(_ node: NodeID, outside level: QuotaLevel) throws(Errno) -> Bool {
        try table.withState(node) { (state) throws(Errno) in
            state.kind == .directory && state.links > 0 && !state.charge.ledger.reaches(level)
        }
    }

    // MARK: - Removal

    /// Lets go of what an insertion left waiting, then takes the level away from the inodes in the next
    /// slots.
    func removalStep(
        _ change: QuotaChange, _ allocation: inout InodeTable.Allocation
    ) throws(Errno) -> StepEnd {
        var left = Tree.stepNodes
        while left > 0 {
            left -= 1
            if let directory = change.reading {
                if let ended = try letGo(of: directory, change, &allocation) {
                    return StepEnd(goesOn: true, ended: ended)
                }
            } else if try !takeNext(of: change, allocation) {
                break
            }
        }
        while left > 0 {
            left -= 1
            guard let next = table.next(from: change.slot, steps: left + 1, allocation) else {
                return StepEnd(goesOn: false)
            }
            change.slot = next.index
            guard let node = next.node else { break }
            try take(change, from: node)
        }
        return StepEnd(goesOn: true)
    }

    private func take(_ change: QuotaChange, from node: NodeID) throws(Errno) {
        let level = change.level
        try table.withState(node) { (state) throws(Errno) in
            let ledger = state.charge.ledger.base
            let successor = change.successor(of: ledger)
            guard successor !== ledger else { return }
            try state.charge.move(
                nodes: 1, to: users.ledger(for: state.owner, below: successor), leaving: level)
            // What inner levels hold is charged to the ledger above each.
            var inner = ledger
            while inner.level !== level, let parent = inner.parent {
                if let holder = inner.level.holding?.ledger {
                    try inner.level.moveHolding(to: change.successor(of: holder), leaving: level)
                }
                inner = parent
            }
        }
    }
}
