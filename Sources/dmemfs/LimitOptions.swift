import ArgumentParser
import Daemon

/// The options that say how much a filesystem may hold, and how it holds it.
struct LimitOptions: ParsableArguments {
    @Option(help: "The limit: 512M, 2G, or a share of the memory such as 25%. (default: 25%)")
    var size: String?

    @Option(help: "The most files, directories and other nodes: 1000, 64k, 1m. (default: no such limit)")
    var maxNodes: String?

    @Option(help: "How the node too many fails: EMFILE, ENOSPC or EDQUOT. (default: EMFILE)")
    var nodeLimitErrno: String?

    @Option(help: "How file contents are kept: auto, sequential or random_access. (default: auto)")
    var storage: String?

    @Option(help: "What each chunk of a sequential file costs, in bytes. (default: 128)")
    var chunkOverhead: String?

    @Option(help: "Refuse to make files larger than this random-access. (default: none are refused)")
    var promotionLimit: String?

    @Option(help: "The engine: auto, memory, strict or passthrough. (default: auto, which is memory)")
    var io: String?

    @Option(help: "When to look at the memory there is: none, init or per_write. (default: per_write)")
    var memoryGuard: String?

    @Option(help: "What to do where it does not suffice: warn or raise. (default: raise)")
    var memoryGuardAction: String?

    @Option(help: "How often to look at the most: 1s, 200ms. (default: 1s)")
    var memoryGuardInterval: String?

    @Option(help: "How much memory to leave for everybody else. (default: 64M)")
    var memoryGuardHeadroom: String?

    @Option(help: "How much free memory to keep ready for the next file, for speed. (default: 8M)")
    var keepFree: String?

    @Flag(help: "Keep and heed POSIX ACLs; costs requests for each directory that changes.")
    var acl = false

    @Flag(help: "Let the kernel hand requests over through io_uring, for speed.")
    var ioUring = false

    /// What was given, in the vocabulary of `-o`.
    var settings: [Setting] {
        let words = [("acl", "--acl", acl), ("io_uring", "--io-uring", ioUring)]
        return words.filter(\.2).map { Setting(name: $0.0, value: nil, spelling: $0.1) }
            + Self.settings([
                ("size", size), ("max_nodes", maxNodes), ("node_limit_errno", nodeLimitErrno),
                ("storage", storage), ("chunk_overhead", chunkOverhead), ("promotion_limit", promotionLimit),
                ("io", io), ("memory_guard", memoryGuard), ("memory_guard_action", memoryGuardAction),
                ("memory_guard_interval", memoryGuardInterval),
                ("memory_guard_headroom", memoryGuardHeadroom),
                ("keep_free", keepFree),
            ])
    }

    static func settings(_ values: [(String, String?)]) -> [Setting] {
        values.compactMap { name, value in
            guard let value else { return nil }
            return Setting(name: name, value: value, spelling: "--" + name.replacing("_", with: "-"))
        }
    }
}
