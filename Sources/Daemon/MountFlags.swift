import Basics
import CLinux
import Control

/// The flags of a mount, as mount(2) takes them and `-o` spells them.
struct MountFlags: Hashable, Sendable {
    private(set) var bits: UInt

    /// Each word that sets a flag, the word that clears it, and the flag (MS_… of mount(2)).
    private static let words: [(set: String, clear: String, bit: UInt)] = [
        ("ro", "rw", 1), ("nosuid", "suid", 1 << 1), ("nodev", "dev", 1 << 2), ("noexec", "exec", 1 << 3),
        ("sync", "async", 1 << 4), ("dirsync", "nodirsync", 1 << 7), ("nosymfollow", "symfollow", 1 << 8),
        ("noatime", "atime", noAccessTimes), ("nodiratime", "diratime", 1 << 11),
        ("relatime", "norelatime", relative), ("strictatime", "nostrictatime", strict),
        ("lazytime", "nolazytime", 1 << 25),
    ]
    private static let noAccessTimes: UInt = 1 << 10
    private static let relative: UInt = 1 << 21
    private static let strict: UInt = 1 << 24
    /// Of these one holds at a time.
    private static let accessTimes = noAccessTimes | relative | strict

    /// The present flags of `mount`. The kernel shows some with the mount, some with its filesystem.
    init(of mount: MountEntry) {
        bits = 0
        for list in [mount.options, mount.superOptions] {
            for word in list.split(separator: ",") where !word.contains("=") { apply(String(word)) }
        }
        // It shows no word for this one, and would take its absence for relatime.
        if bits & Self.accessTimes == 0 { bits |= Self.strict }
    }

    /// Sets or clears what `word` says. Returns whether it is a flag's word.
    @discardableResult
    mutating func apply(_ word: String) -> Bool {
        for flag in Self.words {
            if word == flag.set {
                if flag.bit & Self.accessTimes != 0 { bits &= ~Self.accessTimes }
                bits |= flag.bit
                return true
            }
            if word == flag.clear {
                bits &= ~flag.bit
                return true
            }
        }
        return false
    }

    /// Gives the mount at `path` these flags, and no others.
    func set(on path: String) throws(Errno) {
        try Errno.check(unsafe linux_remount(path, bits))
    }
}
