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

    /// What mount(8), fstab and systemd hand on that asks nothing of a filesystem in memory whose access
    /// times do not move, nor of one that is mounted already.
    static let accepted: Set<String> = [
        "defaults", "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "noowner", "group",
        "nogroup", "nofail", "_netdev", "comment", "relatime", "norelatime", "strictatime", "nostrictatime",
        "diratime", "nodiratime", "lazytime", "nolazytime", "iversion", "noiversion", "mand", "nomand",
        "silent", "loud", "default_permissions", "noquota", "inode32", "inode64", "subtype", "user_id",
        "group_id", "rootmode", "blksize", "max_read",
    ]

    static func isAccepted(_ name: String) -> Bool {
        accepted.contains(name) || name.hasPrefix("x-") || name.hasPrefix("X-")
    }

    /// Security labels, which the kernel reads, and refuses where it knows none.
    static let labels: Set<String> = ["context", "fscontext", "defcontext", "rootcontext"]

    /// The words that have an effect.
    static let known: Set<String> = labels.union([
        "size", "max_nodes", "nr_inodes", "nr_blocks", "storage", "node_limit_errno", "chunk_overhead",
        "promotion_limit", "io", "mode", "uid", "gid", "nonempty", "ro", "rw", "suid", "nosuid", "dev",
        "nodev", "exec", "noexec", "atime", "noatime", "sync", "async", "dirsync", "symfollow",
        "nosymfollow", "fsname", "allow_other", "allow_root", "auto_unmount", "private", "acl", "noacl",
        "io_uring",
        "stop_timeout", "thresholds", "threshold_hook",
        "memory_guard", "memory_guard_action", "memory_guard_interval", "memory_guard_headroom", "keep_free",
        "huge", "mpol", "noswap", "mlock", "metrics_listen", "page",
        "config", "remount",
    ])

    /// The word that stands for `name` and its synonyms.
    static func canonical(_ name: String) -> String {
        ["nr_inodes": "max_nodes", "nr_blocks": "size", "noswap": "mlock"][name] ?? name
    }

    /// What the environment may set: the words that take a value and concern no single mount's place.
    static let fromEnvironment: Set<String> = [
        "size", "max_nodes", "storage", "node_limit_errno", "chunk_overhead", "promotion_limit", "io", "mode",
        "uid", "gid", "stop_timeout", "memory_guard", "memory_guard_action", "memory_guard_interval",
        "memory_guard_headroom", "keep_free", "thresholds", "threshold_hook",
    ]

    /// `text` as it stands in a list: a backslash takes the meaning from a comma, and from a backslash.
    public static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing(",", with: "\\,")
    }

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
