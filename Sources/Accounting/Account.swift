import Basics
import Synchronization

/// What a ledger counts of bytes, or of nodes: at its own level, and at those of the accounts above, all of
/// which must agree.
///
/// Where there are several levels below the mount's, an account holds some **in advance**: it was taken at
/// each of them and is in use at none. As long as that lasts, taking and giving back change one word for all
/// of them, and the mount's. It is for who has this account alone, and so it must never be the reason of a
/// refusal, nor be seen as use: before a level refuses, or tells what is in use, all accounts give back what
/// they hold, and none takes anew meanwhile (`Advances.withNone`). And it is taken only where use can neither
/// come to a limit or a mark nor fall below one while it is used up or filled: near them each level counts
/// each change. The mount's level always does, and keeps the peak.
final class Account: Sendable {
    let level: QuotaLevel
    let gauge: Gauge
    /// The account above, where that is not the mount's.
    private let next: Account?
    /// The mount's; nil for itself, and where the bytes of a level below it were set aside.
    private let mount: Account?
    private var above: Account? { next ?? mount }
    private let advances: Advances
    /// The most that is held in advance; 0 where that would spare nothing.
    private let most: Int
    /// What is held; `closed` while that is nothing, and nothing may be put there.
    private let left = Atomic<Int>(Account.closed)
    private static let closed = -1

    /// - Parameters:
    ///   - above: nil for the mount's, and where the level's bytes were set aside.
    ///   - most: what it may hold in advance.
    init(
        _ gauge: Gauge, of level: QuotaLevel, below above: Account?, holding most: Int, in advances: Advances
    ) {
        self.gauge = gauge
        self.level = level
        let isBelowMount = above.map { $0.above == nil && !$0.level.isSetAside } ?? false
        next = isBelowMount ? nil : above
        mount = isBelowMount ? above : above?.mount
        self.most = next == nil ? 0 : most
        self.advances = advances
    }

    /// Takes `amount` at every level, or nothing. Returns the level that refuses, or nil.
    @inline(__always)
    func take(_ amount: Int) -> QuotaLevel? {
        if !takeHeld(amount), let refusing = takeMore(amount) { return refusing }
        guard let mount, !mount.takeHere(amount) else { return nil }
        giveBackBelow(amount)
        return mount.level
    }

    @inline(__always)
    private func takeHeld(_ amount: Int) -> Bool {
        var seen = left.load(ordering: .relaxed)
        while seen >= amount {
            let (won, now) = left.weakCompareExchange(
                expected: seen, desired: seen - amount, ordering: .relaxed)
            if won { return true }
            seen = now
        }
        return false
    }

    private func takeMore(_ amount: Int) -> QuotaLevel? {
        if amount <= most / 2, hasRoom(for: amount + most / 2, lending: most),
            advances.fill(self, taking: amount)
        {
            return nil
        }
        // What is held elsewhere may be what lacks.
        return takeAtLevels(amount) == nil ? nil : advances.withNone { takeAtLevels(amount) }
    }

    /// Gives back what was taken.
    @inline(__always)
    func giveBack(_ amount: Int) {
        giveBackBelow(amount)
        mount?.giveBackHere(amount)
    }

    @inline(__always)
    private func giveBackBelow(_ amount: Int) {
        var seen = left.load(ordering: .relaxed)
        while seen >= 0 {
            // Half of it stays where it is too much, so that neither direction comes here soon.
            let fits = amount <= most - seen
            let (won, now) = left.weakCompareExchange(
                expected: seen, desired: fits ? seen + amount : most / 2, ordering: .relaxed)
            if won { return fits ? () : giveBackAtLevels(seen + amount - most / 2) }
            seen = now
        }
        giveBackAtLevels(amount)
    }

    /// Takes what nobody may refuse.
    func add(_ amount: Int) {
        addHere(amount)
        above?.add(amount)
    }

    // MARK: - Level by level

    private func takeAtLevels(_ amount: Int) -> QuotaLevel? {
        guard takeHere(amount) else { return level }
        guard let next, let refusing = next.takeAtLevels(amount) else { return nil }
        giveBackHere(amount)
        return refusing
    }

    private func giveBackAtLevels(_ amount: Int) {
        giveBackHere(amount)
        next?.giveBackAtLevels(amount)
    }

    /// Takes `amount` at this account's level alone, if it fits.
    @inline(__always)
    private func takeHere(_ amount: Int) -> Bool {
        guard let now = gauge.take(amount) else { return false }
        if gauge.mayPass(now) { rise(to: now) }
        return true
    }

    @inline(__always)
    private func giveBackHere(_ amount: Int) {
        let now = gauge.giveBack(amount)
        if gauge.mayFall(now) { fall(to: now) }
    }

    private func addHere(_ amount: Int) {
        let now = gauge.add(amount)
        if gauge.mayPass(now) { rise(to: now) }
    }

    @inline(never)
    private func rise(to now: Int) {
        // Looked at again: what was held a moment ago may have gone back since.
        let now = gauge.isLent ? advances.withNone { gauge.taken } : min(now, gauge.taken)
        if gauge.rises(to: now) { level.wake?() }
    }

    @inline(never)
    private func fall(to now: Int) {
        let now = gauge.isLent ? advances.withNone { gauge.taken } : now
        if gauge.marks.falls(to: now) { level.wake?() }
    }

    // MARK: - Moving

    /// Whether what is counted here counts at `level`.
    func reaches(_ level: QuotaLevel) -> Bool {
        self.level === level || above?.reaches(level) ?? false
    }

    /// Takes `amount`, which `source` counts, at the levels that it does not reach; all or nothing. Returns
    /// the level that refuses, or nil.
    func takeMoved(_ amount: Int, from source: Account) -> QuotaLevel? {
        if takeWhereNew(amount, source) == nil { return nil }
        return advances.withNone { takeWhereNew(amount, source) }
    }

    private func takeWhereNew(_ amount: Int, _ source: Account) -> QuotaLevel? {
        let isNew = !source.reaches(level)
        if isNew, !takeHere(amount) { return level }
        guard let above, let refusing = above.takeWhereNew(amount, source) else { return nil }
        if isNew { giveBackHere(amount) }
        return refusing
    }

    /// Gives back at the levels that `source` does not reach. Less than nothing: what moves has grown by
    /// itself meanwhile, which nobody may refuse.
    func giveBackMoved(_ amount: Int, from source: Account) {
        if !source.reaches(level) { amount < 0 ? addHere(-amount) : giveBackHere(amount) }
        above?.giveBackMoved(amount, from: source)
    }

    // MARK: - Looking

    /// The lowest limit of all levels; `Int.max` for none.
    var leastLimit: Int { min(gauge.most, above?.leastLimit ?? .max) }

    /// The least that the levels leave; `Int.max` where there is no limit.
    var free: Int { level.exactly { freeAtLevels } }

    private var freeAtLevels: Int { min(gauge.free, above?.freeAtLevels ?? .max) }

    // MARK: - In advance

    private func hasRoom(for amount: Int, lending most: Int) -> Bool {
        gauge.hasRoom(for: amount, lending: most) && (next?.hasRoom(for: amount, lending: most) ?? true)
    }

    private func takeInAdvance(_ amount: Int) -> Bool {
        guard gauge.takeInAdvance(amount) else { return false }
        if next?.takeInAdvance(amount) ?? true { return true }
        _ = gauge.giveBack(amount)
        return false
    }

    private func lend(_ most: Int) {
        gauge.lend(most)
        next?.lend(most)
    }

    private func endLending(_ most: Int, giving held: Int) {
        // In this order: who finds nothing lent takes what is taken for what is in use.
        let now = gauge.giveBack(held)
        gauge.endLending(most)
        // Who gave back a moment ago, and finds nothing lent, has compared what was still held with the mark.
        if gauge.marks.falls(to: now) { level.wake?() }
        next?.endLending(most, giving: held)
    }

    fileprivate var isOpen: Bool { left.load(ordering: .relaxed) != Account.closed }

    /// Takes `amount`, and fills what is held to a half. The caller holds the lock of `Advances`.
    fileprivate func fill(taking amount: Int) -> Bool {
        let held = left.exchange(Account.closed, ordering: .acquiringAndReleasing)
        let wasOpen = held != Account.closed
        if !wasOpen { lend(most) }
        let missing = amount + most / 2 - max(0, held)
        // Others may have given back since it was looked at.
        if missing <= 0 {
            left.store(held - amount, ordering: .releasing)
        } else if takeInAdvance(missing) {
            left.store(most / 2, ordering: .releasing)
        } else {
            if wasOpen { left.store(held, ordering: .releasing) } else { endLending(most, giving: 0) }
            return false
        }
        return true
    }

    /// Gives back what is held. The caller holds the lock of `Advances`.
    fileprivate func close() {
        guard isOpen else { return }
        endLending(most, giving: left.exchange(Account.closed, ordering: .acquiringAndReleasing))
    }

    /// Its ledger ends: nobody takes from it any more.
    func end() { advances.end(self) }
}

/// The accounts of a mount that hold something in advance.
final class Advances: Sendable {
    /// So many may at once, or it would take long until all have given back.
    private static let mostAccounts = 1024

    private let open = Lock<[Account]>([])

    /// Runs `body` while nothing is held in advance: what is taken at each level is in use then.
    ///
    /// `body` may take no lock.
    func withNone<Result>(_ body: () -> Result) -> Result {
        open.withLock { open in
            Advances.closeAll(&open)
            return body()
        }
    }

    var count: Int { open.withLock { $0.count } }

    private static func closeAll(_ open: inout [Account]) {
        for account in open { account.close() }
        open.removeAll(keepingCapacity: true)
    }

    /// Takes `amount` for an account, and something in advance with it. False where that must not be, or
    /// where another thread is at it: nobody waits for this.
    fileprivate func fill(_ account: Account, taking amount: Int) -> Bool {
        open.withLockIfFree { open in
            let wasOpen = account.isOpen
            if !wasOpen, open.count == Advances.mostAccounts { Advances.closeAll(&open) }
            guard account.fill(taking: amount) else { return false }
            if !wasOpen { open.append(account) }
            return true
        } ?? false
    }

    fileprivate func end(_ account: Account) {
        open.withLock { open in
            guard let index = open.firstIndex(where: { $0 === account }) else { return }
            open.remove(at: index)
            account.close()
        }
    }
}
