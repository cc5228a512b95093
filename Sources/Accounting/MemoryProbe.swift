/// What the kernel's files say of memory: pure functions from their text, which may be malformed, to bytes.
public enum MemoryProbe {
    /// `MemAvailable` of /proc/meminfo, in bytes; nil where it is not there or no number.
    public static func available(meminfo: String) -> Int? {
        value(of: "MemAvailable:", in: meminfo).flatMap(kibibytes)
    }

    /// `MemTotal` of /proc/meminfo, in bytes.
    public static func total(meminfo: String) -> Int? {
        value(of: "MemTotal:", in: meminfo).flatMap(kibibytes)
    }

    /// The path of this process in the hierarchy of `controller` ("" for the unified one), from
    /// /proc/self/cgroup.
    public static func path(of controller: String, cgroup: String) -> String? {
        for line in cgroup.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[2].hasPrefix("/") else { continue }
            if fields[1].split(separator: ",").contains(Substring(controller))
                || fields[1].isEmpty && controller.isEmpty
            {
                return String(fields[2])
            }
        }
        return nil
    }

    /// The path and all above it up to the root, the root last: "/a/b" gives "/a/b", "/a", "".
    public static func chain(_ path: String) -> [String] {
        var parts = path.split(separator: "/")
        var chain: [String] = []
        while !parts.isEmpty {
            chain.append("/" + parts.joined(separator: "/"))
            parts.removeLast()
        }
        return chain + [""]
    }

    /// A limit as cgroup files give it, in bytes; nil for "max", for version 1's "no limit", and for what is
    /// no number.
    public static func limit(_ text: String) -> Int? {
        guard let bytes = UInt64(trimmed(text)), bytes < 1 << 62 else { return nil }
        return Int(bytes)
    }

    /// A plain number of bytes, as in memory.current.
    public static func bytes(_ text: String) -> Int? {
        UInt64(trimmed(text)).flatMap { Int(exactly: $0) }
    }

    /// The cache that a cgroup can give up, from its memory.stat, in bytes: file pages of both lists.
    ///
    /// Pages that are dirty or under write-back are not counted: they must be written first. Version 1 counts
    /// its own children only in the fields that begin with `total_`.
    public static func reclaimable(stat: String) -> Int {
        let isVersion1 = value(of: "total_inactive_file", in: stat) != nil
        let prefix = isVersion1 ? "total_" : ""
        let file = number("\(prefix)inactive_file", in: stat) + number("\(prefix)active_file", in: stat)
        let dirtyName = isVersion1 ? "total_dirty" : "file_dirty"
        let writebackName = isVersion1 ? "total_writeback" : "file_writeback"
        return max(0, file - number(dirtyName, in: stat) - number(writebackName, in: stat))
    }

    /// The share of time in which some task waited for memory over the last ten seconds, in percent, from a
    /// PSI file.
    public static func pressure(_ text: String) -> Double? {
        for line in text.split(separator: "\n") where line.hasPrefix("some ") {
            for field in line.split(separator: " ") where field.hasPrefix("avg10=") {
                return Double(field.dropFirst("avg10=".count))
            }
        }
        return nil
    }

    private static func number(_ name: String, in text: String) -> Int {
        value(of: name, in: text).flatMap { UInt64($0) }.flatMap { Int(exactly: $0) } ?? 0
    }

    /// The second word of the line whose first is `name`.
    private static func value(of name: String, in text: String) -> Substring? {
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            if words.count >= 2, words[0] == name { return words[1] }
        }
        return nil
    }

    private static func kibibytes(_ text: Substring) -> Int? {
        guard let count = UInt64(text), count < 1 << 52 else { return nil }
        return Int(count) << 10
    }

    private static func trimmed(_ text: String) -> Substring {
        var rest = Substring(text)
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        return rest
    }
}
