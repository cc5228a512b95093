public import Basics

/// Which of many numbered units are taken: a bitmap with two summaries above it, that finds the lowest free
/// one.
///
/// Lowest first keeps what is in use together, so that the memory behind it can be given back. Fresh memory
/// is zero, and zero means free, so that a map of four billion units costs nothing until they are used: then
/// a bit each. A bit of a summary is set when the word below it is full.
@safe public struct FreeMap: ~Copyable {
    private var leaves: ReservedMemory
    private var summaries: ReservedMemory
    private var tops: ReservedMemory
    public let capacity: Int
    /// No unit below this word of the leaves is free.
    private var lowestWord = 0

    /// Throws `.noSpace` where the address space cannot hold it.
    public init(capacity: Int) throws(Errno) {
        let words = (capacity + 63) / 64 + 64
        let leaves = try ReservedMemory(bytes: words * 8)
        var summaries = try ReservedMemory(bytes: (words / 64 + 64) * 8)
        var tops = try ReservedMemory(bytes: (words / 4096 + 64) * 8)
        guard leaves.reservedBytes >= words * 8 else { throw .noSpace }
        try summaries.makeUsable(through: (words / 64 + 64) * 8)
        try tops.makeUsable(through: (words / 4096 + 64) * 8)
        self.capacity = capacity
        self.leaves = leaves
        self.summaries = summaries
        self.tops = tops
    }

    private subscript(leaf word: Int) -> UInt64 {
        get { unsafe leaves.base.load(fromByteOffset: word * 8, as: UInt64.self) }
        nonmutating set {
            unsafe leaves.base.storeBytes(of: newValue, toByteOffset: word * 8, as: UInt64.self)
        }
    }
    private subscript(summary word: Int) -> UInt64 {
        get { unsafe summaries.base.load(fromByteOffset: word * 8, as: UInt64.self) }
        nonmutating set {
            unsafe summaries.base.storeBytes(of: newValue, toByteOffset: word * 8, as: UInt64.self)
        }
    }
    private subscript(top word: Int) -> UInt64 {
        get { unsafe tops.base.load(fromByteOffset: word * 8, as: UInt64.self) }
        nonmutating set { unsafe tops.base.storeBytes(of: newValue, toByteOffset: word * 8, as: UInt64.self) }
    }

    /// Takes the lowest free unit and as many free ones directly above it as there are, `count` at the most.
    ///
    /// - Throws: `.noSpace` where all are taken, or the map itself cannot grow.
    public mutating func takeRun(upTo count: Int) throws(Errno) -> Range<Int> {
        precondition(count > 0)
        let word = try lowestWordWithFree()
        let first = word * 64 + (~self[leaf: word]).trailingZeroBitCount
        guard first < capacity else { throw .noSpace }
        // Where the map cannot grow, the run is shorter: the words it has reached are usable.
        var end = first
        while end < first + count, end < capacity {
            let inWord = end / 64
            do { try leaves.makeUsable(through: (inWord + 1) * 8) } catch { break }
            let free = (self[leaf: inWord] >> UInt64(end % 64)).trailingZeroBitCount
            let step = min(free, 64 - end % 64, first + count - end, capacity - end)
            if step == 0 { break }
            end += step
            if end % 64 != 0 { break }
        }
        mark(first..<end)
        return first..<end
    }

    /// Takes exactly the units of `range`, all of which must be free.
    public mutating func take(_ range: Range<Int>) throws(Errno) {
        try leaves.makeUsable(through: (range.upperBound / 64 + 1) * 8)
        mark(range)
    }

    /// Takes the units of `range` if all are free; returns whether they were.
    mutating func takeIfFree(_ range: Range<Int>) -> Bool {
        guard range.upperBound <= capacity else { return false }
        do {
            try leaves.makeUsable(through: (range.upperBound / 64 + 1) * 8)
        } catch {
            return false
        }
        guard isFree(range) else { return false }
        mark(range)
        return true
    }

    /// Whether no unit of `range` is taken; the whole range must have been made usable by taking at some
    /// time.
    func isFree(_ range: Range<Int>) -> Bool {
        var unit = range.lowerBound
        while unit < range.upperBound {
            let end = min(range.upperBound, (unit / 64 + 1) * 64)
            if self[leaf: unit / 64] & FreeMap.mask(unit % 64, count: end - unit) != 0 { return false }
            unit = end
        }
        return true
    }

    public mutating func release(_ range: Range<Int>) {
        var unit = range.lowerBound
        while unit < range.upperBound {
            let word = unit / 64
            let end = min(range.upperBound, (word + 1) * 64)
            let bits = FreeMap.mask(unit % 64, count: end - unit)
            precondition(self[leaf: word] & bits == bits, "a unit was freed that was not taken")
            self[leaf: word] &= ~bits
            self[summary: word / 64] &= ~(1 << UInt64(word % 64))
            self[top: word / 4096] &= ~(1 << UInt64(word / 64 % 64))
            unit = end
        }
        lowestWord = min(lowestWord, range.lowerBound / 64)
    }

    /// Whether a unit is taken; it must be below one that has been taken at some time.
    public func isTaken(_ unit: Int) -> Bool {
        self[leaf: unit / 64] >> UInt64(unit % 64) & 1 == 1
    }

    private mutating func mark(_ range: Range<Int>) {
        var unit = range.lowerBound
        while unit < range.upperBound {
            let word = unit / 64
            let end = min(range.upperBound, (word + 1) * 64)
            let bits = FreeMap.mask(unit % 64, count: end - unit)
            precondition(self[leaf: word] & bits == 0, "a unit was taken twice")
            self[leaf: word] |= bits
            if self[leaf: word] == .max {
                self[summary: word / 64] |= 1 << UInt64(word % 64)
                if self[summary: word / 64] == .max { self[top: word / 4096] |= 1 << UInt64(word / 64 % 64) }
            }
            unit = end
        }
    }

    private static func mask(_ first: Int, count: Int) -> UInt64 {
        (count == 64 ? .max : (1 << UInt64(count)) - 1) << UInt64(first)
    }

    private mutating func lowestWordWithFree() throws(Errno) -> Int {
        let words = (capacity + 63) / 64
        var word = lowestWord
        while word < words {
            if word % 4096 == 0, self[top: word / 4096] == .max {
                word += 4096
            } else if word % 64 == 0, self[summary: word / 64] == .max {
                word += 64
            } else if self[summary: word / 64] >> UInt64(word % 64) & 1 == 1 {
                word += 1
            } else {
                try leaves.makeUsable(through: (word + 1) * 8)
                lowestWord = word
                return word
            }
        }
        throw .noSpace
    }
}
