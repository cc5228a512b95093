import Basics
import Synchronization

/// The limits of users, and the ledgers that what belongs to them is charged to.
///
/// A user's limit is one level for all of the mount. For each directory with a quota in which something of
/// his lies, and for what lies beside all of them, there is one ledger of that level below the directory's:
/// one only, so that what is charged alike has the same. It lives as long as something is charged to it: what
/// a level has set aside comes back with the last ledger that reaches it. Where no user has a limit each
/// question is one comparison. It may be asked with an inode's lock held: the one here is a leaf.
public final class UserLedgers: Sendable {
    private struct Pair: Hashable {
        /// Of the ledger below which it is, which lives as long as that of the pair: as its parent.
        let base: ObjectIdentifier
        let user: UInt32
    }

    private struct Entry {
        weak var ledger: QuotaLedger?
    }

    private struct State {
        var levels: [UInt32: QuotaLevel] = [:]
        var ledgers: [Pair: Entry] = [:]
        /// With so many entries it is time to drop those whose ledgers are gone.
        var sweepCount = UserLedgers.leastSweepCount

        /// Returns the ledgers that are there, to be let go without the lock: this may be the last to hold
        /// one, and much may end with it.
        mutating func sweep() -> [Pair: QuotaLedger] {
            let living = ledgers.compactMapValues(\.ledger)
            ledgers = living.mapValues { Entry(ledger: $0) }
            sweepCount = max(UserLedgers.leastSweepCount, 2 * living.count)
            return living
        }
    }

    private static let leastSweepCount = 64

    private let state = Lock(State())
    /// Relaxed: whoever must know of a change knows it by the lock under which he and the change come.
    private let hasLevels = Atomic(false)

    public init() {}

    /// Whether no user has a limit.
    public var isEmpty: Bool { !hasLevels.load(ordering: .relaxed) }

    /// By user.
    public var levels: [UInt32: QuotaLevel] { isEmpty ? [:] : state.withLock { $0.levels } }

    /// The level of a user; nil where he has no limit.
    public func level(of user: UInt32) -> QuotaLevel? {
        isEmpty ? nil : state.withLock { $0.levels[user] }
    }

    /// How many ledgers there may be: those that are gone count until they are missed.
    package var entryCount: Int { state.withLock { $0.ledgers.count } }

    /// What belongs to `user` and lies where `base` is the ledger is charged to the answer: `base` itself
    /// where he has no limit.
    ///
    /// Complexity: constant, but that all ledgers are looked at each time their number has doubled.
    @inline(__always)
    public func ledger(for user: UInt32, below base: QuotaLedger) -> QuotaLedger {
        isEmpty ? base : find(user, base)
    }

    @inline(never)
    private func find(_ user: UInt32, _ base: QuotaLedger) -> QuotaLedger {
        let (found, _) = state.withLock { state -> (QuotaLedger, living: [Pair: QuotaLedger]) in
            guard let level = state.levels[user] else { return (base, [:]) }
            let pair = Pair(base: ObjectIdentifier(base), user: user)
            if let known = state.ledgers[pair]?.ledger { return (known, [:]) }
            let living = state.ledgers.count >= state.sweepCount ? state.sweep() : [:]
            let new = QuotaLedger(level, below: base)
            state.ledgers[pair] = Entry(ledger: new)
            return (new, living)
        }
        return found
    }

    /// Gives a user a limit: what is charged from now on is charged to it.
    public func insert(_ level: QuotaLevel) {
        guard let user = level.user else { preconditionFailure("the level is no user's") }
        state.withLock { state in
            precondition(state.levels[user] == nil, "a user has one level")
            state.levels[user] = level
            hasLevels.store(true, ordering: .relaxed)
        }
    }

    /// Takes a user's limit away: nothing more is charged to it.
    public func remove(_ level: QuotaLevel) {
        state.withLock { state in
            guard let user = level.user, state.levels[user] === level else { return }
            state.levels[user] = nil
            hasLevels.store(!state.levels.isEmpty, ordering: .relaxed)
            state.ledgers = state.ledgers.filter { $0.key.user != user }
        }
    }
}
