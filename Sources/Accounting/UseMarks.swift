import Synchronization

/// Two amounts of use at which somebody is to be woken: when use comes to one of them, or falls below the
/// other.
///
/// Each wakes once. Whoever is woken looks at the use and sets both anew, and looks once more: use stores
/// first and looks at the marks then, as who sets them does the other way round, so that one sees the other.
struct UseMarks: ~Copyable, Sendable {
    private let above = Atomic<Int>(.max)
    private let below = Atomic<Int>(.min)
    /// The use that came to the upper mark; 0 once that was seen.
    private let reached = Atomic<Int>(0)

    var upper: Int { above.load(ordering: .sequentiallyConsistent) }
    var lower: Int { below.load(ordering: .sequentiallyConsistent) }

    /// Use has grown to `now`. Returns whether to wake somebody.
    func rises(to now: Int) -> Bool {
        now >= upper && passes(upwards: now)
    }

    /// Use has shrunk to `now`. Returns whether to wake somebody.
    func falls(to now: Int) -> Bool {
        now < lower && passesDownwards()
    }

    private func passes(upwards now: Int) -> Bool {
        guard above.exchange(.max, ordering: .sequentiallyConsistent) != .max else { return false }
        // By who wakes somebody alone: it is seen then, and not mistaken for a later rise.
        reached.max(now, ordering: .relaxed)
        return true
    }

    private func passesDownwards() -> Bool {
        below.exchange(.min, ordering: .sequentiallyConsistent) != .min
    }

    func set(below: Int, above: Int) {
        self.below.store(below, ordering: .sequentiallyConsistent)
        self.above.store(above, ordering: .sequentiallyConsistent)
    }

    /// The highest use that came to a mark since this was asked last; 0 where none did.
    func takeReached() -> Int { reached.exchange(0, ordering: .relaxed) }
}

/// Where a level stands, for who watches it.
public struct LevelUse: Hashable, Sendable {
    /// nil for no limit.
    public var limit: Int?
    public var used: Int
    /// The highest use that came to a mark since it was looked at last; 0 where none did.
    public var reached: Int
}

extension QuotaLevel {
    /// Where the bytes, and the nodes, stand.
    public func takeUse() -> (bytes: LevelUse, nodes: LevelUse) {
        (
            LevelUse(limit: maxBytes, used: usedBytes, reached: self.bytes.marks.takeReached()),
            LevelUse(limit: maxNodes, used: usedNodes, reached: self.nodes.marks.takeReached())
        )
    }

    /// Has somebody woken when use is no longer in these ranges. Returns false where it is not now.
    public func mark(bytes: Range<Int>, nodes: Range<Int>) -> Bool {
        exactly {
            self.bytes.marks.set(below: bytes.lowerBound, above: bytes.upperBound)
            self.nodes.marks.set(below: nodes.lowerBound, above: nodes.upperBound)
            return bytes.contains(self.bytes.taken) && nodes.contains(self.nodes.taken)
        }
    }
}
