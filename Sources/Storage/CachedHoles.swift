/// The hole pages of a file that the kernel may hold in its page cache: one range that covers them all.
///
/// A store through a shared mapping makes such a page dirty, and no request tells us until it is written
/// back. Until then SEEK_DATA must not call it a hole, or a copy would lose what was stored. One range may
/// cover holes that were never read: a file may look denser than it is, never sparser.
struct CachedHoles {
    /// Page numbers; what is above the highest that fits counts as that.
    private var first = UInt32.max
    private var last: UInt32 = 0

    private var isEmpty: Bool { first > last }

    mutating func add(_ pages: ClosedRange<Int>) {
        first = min(first, UInt32(clamping: pages.lowerBound))
        last = max(last, UInt32(clamping: pages.upperBound))
    }

    /// The pages from `page` on are no longer there.
    mutating func remove(from page: Int) {
        guard page > 0, !isEmpty, UInt32(clamping: page) > first else {
            self = CachedHoles()
            return
        }
        last = min(last, UInt32(clamping: page - 1))
    }

    /// The first page behind the covered ones; nil where `page` is none of them, `Int.max` where they have no
    /// end.
    func end(behind page: Int) -> Int? {
        let page = UInt32(clamping: page)
        guard first <= page, page <= last else { return nil }
        return last == .max ? .max : Int(last) + 1
    }

    /// The first page at or behind `page` that is covered; nil where there is none.
    func first(from page: Int) -> Int? {
        guard !isEmpty, UInt32(clamping: page) <= last else { return nil }
        return max(page, Int(first))
    }
}
