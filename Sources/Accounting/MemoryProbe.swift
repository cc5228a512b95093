import Basics

/// What the kernel's files say of memory: pure functions from their bytes, which may be malformed, to
/// numbers.
///
/// They work on the bytes as they were read: one look at the machine takes no memory, of which there may be
/// none.
public enum MemoryProbe {
    /// `MemAvailable` of /proc/meminfo, in bytes; nil where it is not there or no number.
    public static func available(meminfo: RawSpan) -> Int? {
        kibibytes(number(of: "MemAvailable:", in: meminfo))
    }

    /// `MemTotal` of /proc/meminfo, in bytes.
    public static func total(meminfo: RawSpan) -> Int? {
        kibibytes(number(of: "MemTotal:", in: meminfo))
    }

    /// The path of this process in the hierarchy of `controller`, from /proc/self/cgroup; nil for the
    /// unified hierarchy.
    public static func path(of controller: String?, cgroup: String) -> String? {
        for line in cgroup.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[2].hasPrefix("/") else { continue }
            let isWanted =
                controller.map { fields[1].split(separator: ",").contains(Substring($0)) }
                ?? (fields[0] == "0" && fields[1].isEmpty)
            if isWanted { return String(fields[2]) }
        }
        return nil
    }

    /// A limit as cgroup files give it, in bytes; nil for "max", for version 1's "no limit", and for what is
    /// no number.
    public static func limit(_ text: RawSpan) -> Int? {
        guard let bytes = bytes(text), bytes < 1 << 62 else { return nil }
        return bytes
    }

    /// A plain number of bytes, as in memory.current: the only word of its file.
    public static func bytes(_ text: RawSpan) -> Int? {
        var place = 0
        skipSpaces(in: text, &place)
        guard let number = number(in: text, &place) else { return nil }
        while place < text.byteCount, isSpace(text.byte(at: place)) || isNewline(text.byte(at: place)) {
            place += 1
        }
        return place == text.byteCount ? number : nil
    }

    /// The cache that a cgroup can give up, from its memory.stat, in bytes: file pages of both lists.
    ///
    /// Pages that are dirty or under write-back are not counted: they must be written first. Version 1 counts
    /// a group's children only in the fields that begin with `total_`.
    public static func reclaimable(stat: RawSpan) -> Int {
        let file: Int
        let busy: Int
        if let inactive = number(of: "total_inactive_file", in: stat) {
            file = sum(inactive, number(of: "total_active_file", in: stat))
            busy = sum(number(of: "total_dirty", in: stat), number(of: "total_writeback", in: stat))
        } else {
            file = sum(number(of: "inactive_file", in: stat), number(of: "active_file", in: stat))
            busy = sum(number(of: "file_dirty", in: stat), number(of: "file_writeback", in: stat))
        }
        return max(0, file - busy)
    }

    private static let shortAverage: StaticString = "avg10="

    /// The share of time in which some task waited for memory over the last ten seconds, in whole percent,
    /// from a PSI file.
    public static func pressure(_ text: RawSpan) -> Int? {
        guard var place = end(of: "some", in: text) else { return nil }
        while place < text.byteCount, !isNewline(text.byte(at: place)) {
            skipSpaces(in: text, &place)
            if starts(with: shortAverage, text, at: place) {
                place += shortAverage.utf8CodeUnitCount
                return number(in: text, &place).flatMap { $0 <= 100 ? $0 : nil }
            }
            while place < text.byteCount, !isSpace(text.byte(at: place)), !isNewline(text.byte(at: place)) {
                place += 1
            }
        }
        return nil
    }

    // MARK: Words and lines

    /// The number behind the first line's beginning that is the word `name`.
    private static func number(of name: StaticString, in text: RawSpan) -> Int? {
        guard var place = end(of: name, in: text) else { return nil }
        skipSpaces(in: text, &place)
        guard let number = number(in: text, &place) else { return nil }
        let isWhole =
            place == text.byteCount || isSpace(text.byte(at: place)) || isNewline(text.byte(at: place))
        return isWhole ? number : nil
    }

    /// Where `name` ends in the first line that begins with it as a word.
    private static func end(of name: StaticString, in text: RawSpan) -> Int? {
        var place = 0
        while place < text.byteCount {
            let end = place + name.utf8CodeUnitCount
            if starts(with: name, text, at: place), end < text.byteCount, isSpace(text.byte(at: end)) {
                return end
            }
            while place < text.byteCount, !isNewline(text.byte(at: place)) { place += 1 }
            place += 1
        }
        return nil
    }

    private static func starts(with word: StaticString, _ text: RawSpan, at place: Int) -> Bool {
        guard text.byteCount - place >= word.utf8CodeUnitCount else { return false }
        return text.extracting(droppingFirst: place).hasPrefix(word)
    }

    /// The digits from `place` on; nil where there are none, or where they are more than can be counted.
    private static func number(in text: RawSpan, _ place: inout Int) -> Int? {
        var value = 0
        let start = place
        while place < text.byteCount {
            let byte = text.byte(at: place)
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { break }
            let (tenfold, overflows) = value.multipliedReportingOverflow(by: 10)
            let (next, overflowsToo) = tenfold.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            guard !overflows, !overflowsToo else { return nil }
            value = next
            place += 1
        }
        return place > start ? value : nil
    }

    private static func skipSpaces(in text: RawSpan, _ place: inout Int) {
        while place < text.byteCount, isSpace(text.byte(at: place)) { place += 1 }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    private static func isNewline(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\n") }

    private static func kibibytes(_ count: Int?) -> Int? {
        guard let count, count < 1 << 52 else { return nil }
        return count << 10
    }

    /// A sum that stops at the largest number.
    private static func sum(_ left: Int?, _ right: Int?) -> Int {
        let (sum, overflows) = (left ?? 0).addingReportingOverflow(right ?? 0)
        return overflows ? .max : sum
    }
}
