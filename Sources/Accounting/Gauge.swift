import Synchronization

/// One limit, of bytes or of nodes, and what is taken of it.
///
/// Invariant: what is taken is at most the limit at every moment, but for a limit that was lowered to drain.
/// What is in use is what is taken, without what accounts hold of it in advance (`Account`): at most `lent`.
/// All operations are atomics without a lock. They publish no other memory: what was paid for is published by
/// the lock of the inode that owns it. A limit, or `lent`, and what is taken meet in an order that all agree
/// on.
final class Gauge: Sendable {
    /// `Int.max`: none.
    private let limit: Atomic<Int>
    private let used = Atomic<Int>(0)
    /// The most that accounts may hold in advance.
    private let lent = Atomic<Int>(0)
    /// `Int.max` where it is not kept.
    private let peak: Atomic<Int>
    /// The highest `peak` of before it was reset.
    private let formerPeak = Atomic<Int>(0)
    let marks = UseMarks()

    init(limit: Int?, keepsPeak: Bool) {
        self.limit = Atomic(limit ?? .max)
        peak = Atomic(keepsPeak ? 0 : .max)
    }

    /// `Int.max` for none.
    var most: Int { limit.load(ordering: .relaxed) }
    /// What is in use, and what accounts hold in advance.
    var taken: Int { used.load(ordering: .sequentiallyConsistent) }
    /// `Int.max` where there is no limit.
    var free: Int { most == .max ? .max : max(0, most - taken) }
    var isLent: Bool { lent.load(ordering: .sequentiallyConsistent) != 0 }
    /// The highest use there has been, where that is kept.
    var highest: Int { max(recentHighest, formerPeak.load(ordering: .relaxed)) }
    /// The same since `resetPeak`.
    var recentHighest: Int { peak.load(ordering: .relaxed) }

    // MARK: - The limit

    /// Sets the limit; below what is taken only where `draining`. Returns whether it was set.
    func setLimit(_ value: Int?, draining: Bool) -> Bool {
        let value = value ?? .max
        // A limit that is plainly too low is not even set for a moment, in which others would be refused.
        if !draining, taken > value { return false }
        let before = limit.exchange(value, ordering: .sequentiallyConsistent)
        // Set first and look then, as `take` takes first and looks then: one of the two sees the other.
        if !draining, used.load(ordering: .sequentiallyConsistent) > value {
            limit.store(before, ordering: .sequentiallyConsistent)
            return false
        }
        return true
    }

    /// Lowers the limit together with what is taken: both go elsewhere.
    func remove(_ amount: Int) {
        // The limit first: nobody may take what is about to go.
        limit.wrappingSubtract(amount, ordering: .sequentiallyConsistent)
        used.wrappingSubtract(amount, ordering: .relaxed)
    }

    // MARK: - Taking and giving back

    /// Returns what is taken then, or nil where that would be more than `ceiling` or the limit.
    @inline(__always)
    private func take(_ amount: Int, upTo ceiling: Int) -> Int? {
        var seen = used.load(ordering: .relaxed)
        while true {
            // Subtract, so that the test cannot overflow.
            guard amount <= min(limit.load(ordering: .relaxed), ceiling) - seen else { return nil }
            let (won, now) = used.weakCompareExchange(
                expected: seen, desired: seen + amount, ordering: .sequentiallyConsistent)
            if won { break }
            seen = now
        }
        // The limit may have been lowered since it was read.
        guard seen + amount <= limit.load(ordering: .sequentiallyConsistent) else {
            used.wrappingSubtract(amount, ordering: .relaxed)
            return nil
        }
        return seen + amount
    }

    /// Takes `amount`. Returns what is taken then, or nil where that would be too much.
    @inline(__always)
    func take(_ amount: Int) -> Int? { take(amount, upTo: .max) }

    /// Takes what nobody may refuse. Returns what is taken then.
    @inline(__always)
    func add(_ amount: Int) -> Int {
        used.wrappingAdd(amount, ordering: .sequentiallyConsistent).newValue
    }

    /// Returns what is taken then.
    @inline(__always)
    func giveBack(_ amount: Int) -> Int {
        let (before, now) = used.wrappingSubtract(amount, ordering: .sequentiallyConsistent)
        precondition(before >= amount, "more was given back than had been taken")
        return now
    }

    // MARK: - What is to be noticed

    /// Whether use that has grown to `now`, or less, may be a new peak, or has come to a mark.
    @inline(__always)
    func mayPass(_ now: Int) -> Bool {
        now > peak.load(ordering: .relaxed) || now >= marks.upper
    }

    /// Use has grown to `now`. Returns whether to wake somebody.
    func rises(to now: Int) -> Bool {
        notePeak(now)
        return marks.rises(to: now)
    }

    /// Whether use may have fallen below a mark, where `now` is taken.
    @inline(__always)
    func mayFall(_ now: Int) -> Bool {
        now &- lent.load(ordering: .relaxed) < marks.lower
    }

    func notePeak(_ now: Int) { peak.max(now, ordering: .relaxed) }

    /// Begins anew to keep the recent peak. What is taken meanwhile counts for one side of it or the other.
    func resetPeak() {
        formerPeak.max(peak.exchange(taken, ordering: .relaxed), ordering: .relaxed)
        // What was taken between the look at the use and the exchange would be in neither.
        notePeak(taken)
    }

    // MARK: - In advance

    /// Whether an account that may hold `most` might take `amount` in advance.
    func hasRoom(for amount: Int, lending most: Int) -> Bool {
        let after = taken + amount
        return after <= ceiling && after - lent.load(ordering: .relaxed) - most >= marks.lower
    }

    /// Up to here nobody who takes in advance has anything to notice later.
    private var ceiling: Int { min(most, marks.upper &- 1) }

    /// Permits an account to hold `most` in advance.
    func lend(_ most: Int) { lent.wrappingAdd(most, ordering: .sequentiallyConsistent) }

    /// Ends that: it holds nothing any more.
    func endLending(_ most: Int) { lent.wrappingSubtract(most, ordering: .sequentiallyConsistent) }

    /// Takes `amount` for an account that was lent to, where use cannot pass anything by what it then does
    /// without asking.
    func takeInAdvance(_ amount: Int) -> Bool {
        guard take(amount, upTo: ceiling) != nil else { return false }
        guard mayFall(taken) else { return true }
        _ = giveBack(amount)
        return false
    }
}
