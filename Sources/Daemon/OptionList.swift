/// One setting by its name in the vocabulary of `-o`, wherever it was written.
public struct Setting: Hashable, Sendable {
    public var name: String
    /// nil for a bare word.
    public var value: String?
    /// As the user wrote it, for messages: `--size` or `-o size`.
    public var spelling: String

    public init(name: String, value: String?, spelling: String) {
        self.name = name
        self.value = value
        self.spelling = spelling
    }
}

/// The lists that `-o` takes: settings between commas. A backslash takes the special meaning from what
/// follows it, since fstab knows no quotes.
public enum OptionList {
    public static func settings(in list: String) -> [Setting] {
        var settings: [Setting] = []
        var word = ""
        var isEscaped = false
        func finish() {
            guard !word.isEmpty else { return }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            let value = parts.count == 2 ? String(parts[1]) : nil
            settings.append(Setting(name: name, value: value, spelling: "-o \(name)"))
            word = ""
        }
        for character in list {
            if isEscaped {
                word.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "," {
                finish()
            } else {
                word.append(character)
            }
        }
        finish()
        return settings
    }

    /// What mount(8) and fstab hand on that asks nothing of a filesystem in memory whose access times do not
    /// move.
    static let accepted: Set<String> = [
        "defaults", "auto", "noauto", "user", "users", "nouser", "owner", "group", "nofail", "_netdev", "rw",
        "relatime", "norelatime", "atime", "noatime", "strictatime", "nostrictatime", "diratime",
        "nodiratime",
        "lazytime", "nolazytime", "sync", "async", "dirsync", "default_permissions", "comment",
    ]

    static func isAccepted(_ name: String) -> Bool {
        accepted.contains(name) || name.hasPrefix("x-") || name.hasPrefix("X-")
    }

    /// The words that have an effect.
    static let known: Set<String> = [
        "size", "max_nodes", "nr_inodes", "storage", "node_limit_errno", "chunk_overhead", "promotion_limit",
        "io", "huge",
        "mode", "uid", "gid", "nonempty", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec",
        "fsname",
        "allow_other", "private", "acl", "noacl", "stop_timeout", "memory_guard", "memory_guard_action",
        "memory_guard_interval", "memory_guard_headroom", "keep_free",
    ]

    /// The known word that `name` was probably meant to be.
    static func nearest(to name: String) -> String? {
        let candidates = (known.union(accepted)).sorted().map { ($0, distance($0, name)) }
        guard let best = candidates.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 <= max(1, name.count / 3) ? best.0 : nil
    }

    /// How many letters must be put in, taken out or replaced to make one word the other.
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        guard right.count <= 64 else { return .max }
        var row = Array(0...right.count)
        for (index, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in right.enumerated() {
                let replaced = diagonal + (byte == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, row[column + 1] + 1)
            }
        }
        return row[right.count]
    }
}
