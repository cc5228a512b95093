import Basics
import Control
import Daemon

/// What `dmemfs top` found: printed as it is with `--json`, whose keys are a promise to scripts.
struct TopReport: Encodable {
    enum Order: String, CaseIterable, Encodable {
        case dir, user, file, age
    }

    struct Entry: Encodable {
        /// Of directories and files, from the mount's root on.
        var path: String?
        var uid: Int?
        /// Left out where the system knows no name.
        var user: String?
        /// Of files and ages: seconds since the last modification, of an age the least.
        var ageSeconds: Int?
        var bytes: Int
        var nodes: Int
        /// Of users; left out where one has none. It counts what has no name as well.
        var limitBytes: Int?

        enum CodingKeys: String, CodingKey {
            case path, uid, user
            case ageSeconds = "age_seconds"
            case bytes, nodes
            case limitBytes = "limit_bytes"
        }
    }

    struct Unlinked: Encodable {
        var inode: UInt64
        var bytes: Int
        var uid: Int
        var ageSeconds: Int
        var holders: [Holder]

        enum CodingKeys: String, CodingKey {
            case inode, bytes, uid
            case ageSeconds = "age_seconds"
            case holders
        }
    }

    struct Holder: Encodable {
        var pid: Int
        var command: String
    }

    var mountpoint: String
    var by: Order
    var limitBytes: Int
    var usedBytes: Int
    var maxNodes: OptionalCount
    var nodes: Int
    var namedBytes: Int
    var namedNodes: Int
    var unlinkedBytes: Int
    var unlinkedNodes: Int
    /// What is used and no node's: set aside for quotas or for requests in flight, or held for nobody.
    var otherBytes: Int
    var entries: [Entry]
    var unlinked: [Unlinked]

    enum CodingKeys: String, CodingKey {
        case mountpoint, by
        case limitBytes = "limit_bytes"
        case usedBytes = "used_bytes"
        case maxNodes = "max_nodes"
        case nodes
        case namedBytes = "named_bytes"
        case namedNodes = "named_nodes"
        case unlinkedBytes = "unlinked_bytes"
        case unlinkedNodes = "unlinked_nodes"
        case otherBytes = "other_bytes"
        case entries, unlinked
    }

    /// - Parameters:
    ///   - tally: rolled up.
    ///   - limits: of the users who have one, in bytes.
    ///   - count: how many entries at the most; ages are always all.
    ///   - now: seconds since 1970.
    init(
        of tally: TopTally, _ status: Status, limits: [Int: Int],
        holders: [UInt64: [UnlinkedHolders.Holder]], by order: Order, count: Int, now: Int64
    ) {
        mountpoint = status.mountpoint
        by = order
        limitBytes = status.limitBytes
        usedBytes = status.usedBytes
        maxNodes = status.maxNodes
        nodes = status.nodes
        namedBytes = tally.named.bytes
        namedNodes = tally.named.nodes
        unlinkedBytes = tally.unlinked.reduce(0) { $0 + $1.bytes }
        unlinkedNodes = tally.unlinked.count
        otherBytes = status.usedBytes - namedBytes - unlinkedBytes
        entries = Self.entries(of: tally, by: order, limits, count, now)
        unlinked = tally.unlinked.prefix(count).map { node in
            Unlinked(
                inode: node.inode, bytes: node.bytes, uid: Int(node.user),
                ageSeconds: Self.age(node.modified, now),
                holders: (holders[node.inode] ?? []).map { Holder(pid: $0.process, command: $0.command) })
        }
    }

    private static func age(_ modified: Int64, _ now: Int64) -> Int { Int(clamping: max(0, now - modified)) }

    private static func entries(
        of tally: TopTally, by order: Order, _ limits: [Int: Int], _ count: Int, _ now: Int64
    ) -> [Entry] {
        switch order {
        case .dir:
            return tally.largestDirectories(count).map {
                Entry(path: text($0.path), bytes: $0.sum.bytes, nodes: $0.sum.nodes)
            }
        case .file:
            return tally.largestFiles(count).map { path, file in
                Entry(
                    path: text(path), uid: Int(file.node.user), user: Accounts.name(ofUser: file.node.user),
                    ageSeconds: age(file.node.modified, now), bytes: file.node.bytes, nodes: 1)
            }
        case .user:
            let users = tally.users.sorted {
                ($0.value.bytes, $0.value.nodes, $1.key) > ($1.value.bytes, $1.value.nodes, $0.key)
            }
            return users.prefix(count).map { user, sum in
                Entry(
                    uid: Int(user), user: Accounts.name(ofUser: user), bytes: sum.bytes, nodes: sum.nodes,
                    limitBytes: limits[Int(user)])
            }
        case .age:
            return zip([0] + TopTally.ages, tally.byAge).map { least, sum in
                Entry(ageSeconds: least, bytes: sum.bytes, nodes: sum.nodes)
            }
        }
    }

    private static func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }
}
