import Accounting
import Basics
import Storage

/// Limits of users: on all that somebody owns in the tree, wherever it lies and whoever writes to it.
///
/// A node is charged to the ledger of its owner below that of its directory (`UserLedgers`). A change of a
/// limit is one at a time, with those of directories, and may be called from any thread.
extension Tree {
    /// The limit of a user; nil where he has none.
    public func quota(ofUser user: UInt32) -> QuotaState? {
        users.level(of: user).map { QuotaState($0) }
    }

    /// All limits of users, by user. Each figure is of its moment.
    public func userQuotas() -> [(user: UInt32, state: QuotaState)] {
        users.levels.map { (user: $0.key, state: QuotaState($0.value)) }.sorted { $0.user < $1.user }
    }

    /// Those of the users who own most, at most `limit` of them and the largest first, and how many there
    /// are.
    public func largestUserQuotas(
        upTo limit: Int
    ) -> (quotas: [(user: UInt32, state: QuotaState)], count: Int) {
        let all = userQuotas()
        return (Array(all.sorted { $0.state.usedBytes > $1.state.usedBytes }.prefix(limit)), all.count)
    }

    /// Gives a user a limit, or changes the one that he has.
    ///
    /// What he owns is counted while the tree is in use, and no other operation waits for more than a step of
    /// that. Only then is the limit compared with it.
    public func setQuota(ofUser user: UInt32, to request: QuotaRequest) throws(QuotaRefusal) -> QuotaState {
        guard configuration.hasQuotas else { throw .engine }
        // What would it be set aside from? A user may write anywhere.
        guard !request.setsAside else { throw .notSetAside }
        let (level, isNew) = try namespace.withLock { (allocation) throws(QuotaRefusal) in
            guard !allocation.quotas.isChanging else { throw .busy }
            if let level = users.level(of: user) {
                try Tree.apply(request, to: level)
                return (level, false)
            }
            let level = try begin(request, ofUser: user)
            allocation.quotas.isChangingUser = true
            return (level, true)
        }
        guard isNew else { return QuotaState(level) }
        do throws(QuotaRefusal) {
            try count(level)
            try namespace.withLock { (_) throws(QuotaRefusal) in try Tree.apply(request, to: level) }
        } catch {
            users.remove(level)
            finishRemoval(ofUsers: level)
            throw error
        }
        namespace.withLock { allocation in allocation.quotas.isChangingUser = false }
        level.wake?()
        return QuotaState(level)
    }

    /// Takes a user's limit away. Returns what it was.
    public func removeQuota(ofUser user: UInt32) throws(QuotaRefusal) -> QuotaState {
        let level = try namespace.withLock { (allocation) throws(QuotaRefusal) in
            guard !allocation.quotas.isChanging else { throw .busy }
            guard let level = users.level(of: user) else { throw .none }
            users.remove(level)
            allocation.quotas.isChangingUser = true
            return level
        }
        let state = QuotaState(level)
        finishRemoval(ofUsers: level)
        return state
    }

    /// Makes a level without a limit as yet. What is made from now on, and what gets this owner, is charged
    /// to it.
    private func begin(_ request: QuotaRequest, ofUser user: UInt32) throws(QuotaRefusal) -> QuotaLevel {
        guard request.isLimit else { throw .nothingAsked }
        let level = QuotaLevel(bytes: nil, of: user, waking: configuration.wake)
        do throws(Errno) {
            try level.hold(from: ledger)
        } catch {
            withdrawRefusal()
            throw .noRoom(freeBytes: ledger.freeBytes)
        }
        users.insert(level)
        return level
    }

    /// Counts what a user owns already.
    private func count(_ level: QuotaLevel) throws(QuotaRefusal) {
        do throws(Errno) {
            try rechargeAll(of: level, mayFail: true)
        } catch {
            throw refusal(for: error, of: level)
        }
    }

    private func finishRemoval(ofUsers level: QuotaLevel) {
        do throws(Errno) {
            try rechargeAll(of: level, mayFail: false)
        } catch {
            preconditionFailure("a user's limit could not be taken away: \(error)")
        }
        namespace.withLock { allocation in allocation.quotas.isChangingUser = false }
        level.dissolve()
    }

    /// Goes through the table of inodes and has each that a change of the level concerns charged as it is to
    /// be. What is made or gets another owner meanwhile is charged so already.
    ///
    /// Nothing is refused: a level that comes has no limit yet, and to leave one takes nothing.
    private func rechargeAll(of level: QuotaLevel, mayFail: Bool) throws(Errno) {
        var slot = 0
        try runSteps { (allocation) throws(Errno) in
            for left in stride(from: Tree.stepNodes, to: 0, by: -1) {
                guard let next = table.next(from: slot, steps: left, allocation) else {
                    return StepEnd(goesOn: false)
                }
                slot = next.index
                guard let node = next.node else { break }
                try change(node) { (state) throws(Errno) in
                    guard state.owner == level.user || state.charge.ledger.level === level else { return }
                    let target = users.ledger(for: state.owner, below: state.charge.ledger.base)
                    if target === state.charge.ledger { return }
                    state.observe(in: memory)
                    if mayFail, let faults = target.faults, faults.strikes(.reservation) {
                        throw .diskQuotaExceeded
                    }
                    try state.charge.move(nodes: 1, to: target, leaving: nil)
                }
            }
            return StepEnd(goesOn: true)
        }
    }

    /// Has a node charged to the limit of `owner`, who is about to own it. Returns the way back; nil where
    /// nothing has changed.
    ///
    /// The check for limits is made with the node's lock held: a limit that comes after it meets the node
    /// with its new owner.
    func recharge(_ state: inout Inode.State, to owner: UInt32) throws(Errno) -> Transfer? {
        if users.isEmpty || owner == state.owner { return nil }
        let target = users.ledger(for: owner, below: state.charge.ledger.base)
        if target === state.charge.ledger { return nil }
        state.observe(in: memory)
        if let faults = target.faults, faults.strikes(.reservation) { throw .diskQuotaExceeded }
        let transfer = try state.charge.transfer(to: target, nodes: 1)
        return state.charge.commit(transfer)
    }
}
