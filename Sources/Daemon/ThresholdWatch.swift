import Accounting
import Basics
import CLinux
import Control
import Glibc
import Logging
import Synchronization
import Tree

/// Tells the log, and a program of the user's, when the use of a limit passes a threshold upwards: of the
/// mount's bytes and nodes, and of each directory's and each user's.
///
/// The levels wake its thread when there is something to see, so that a request pays one comparison and an
/// idle daemon uses no CPU. It looks once a second at the most; of what was passed and left in between the
/// lowest threshold counts.
final class ThresholdWatch: Sendable {
    private static let restMilliseconds = 1000

    private let policy: ThresholdPolicy
    private let path: String
    private let log: Logger
    private let hook: ThresholdHook?
    /// Negative where there are no thresholds, or no event was to be had: nobody watches then.
    private let event: Int32
    /// How often each was passed, in their order.
    private let counts: Lock<[Int]>

    init(_ policy: ThresholdPolicy, at path: String, log: Logger) {
        self.policy = policy
        self.path = path
        self.log = log
        event = policy.percents.isEmpty ? -1 : linux_event_make()
        hook = policy.hook.map { ThresholdHook($0, at: path, log: log) }
        counts = Lock(policy.percents.map { _ in 0 })
    }

    deinit {
        if event >= 0 { close(event) }
    }

    /// What a tree calls when there is something to see; nil for nothing.
    var wake: (@Sendable () -> Void)? {
        guard event >= 0 else { return nil }
        return { [event] in linux_event_set(event) }
    }

    /// How often each threshold was passed upwards since the start, by any limit.
    var crossings: [(percent: Int, count: Int)] {
        Array(zip(policy.percents, counts.withLock { $0 })).map { (percent: $0.0, count: $0.1) }
    }

    /// - Parameter growsByItself: files grow without a request; then it looks once a second.
    func start(watching tree: Tree, growsByItself: Bool) throws(Errno) {
        guard event >= 0 else { return }
        try hook?.start()
        try Thread.start { [self] in
            var ladders: [UInt64: Ladders] = [:]
            while true {
                look(tree, growsByItself, &ladders)
                ProcessWatch.pause(milliseconds: Self.restMilliseconds)
                _ = linux_event_await(event, growsByItself ? 0 : -1)
            }
        }
    }

    /// Ends a program that still runs.
    func stop() { hook?.stop() }

    private struct Ladders {
        var bytes = ThresholdLadder()
        var nodes = ThresholdLadder()
    }

    /// Looks at all levels, and says when to be woken again.
    private func look(_ tree: Tree, _ growsByItself: Bool, _ ladders: inout [UInt64: Ladders]) {
        var known: [UInt64: Ladders] = [:]
        var found: [(holder: LimitHolder, crossing: (ThresholdCrossing.Place) -> ThresholdCrossing)] = []
        for (holder, level) in tree.levels() {
            var own = ladders[level.number] ?? Ladders()
            // Use goes on while we look: then we look again.
            for _ in 0..<100 {
                var (bytes, nodes) = level.takeUse()
                if growsByItself, holder == .mount { bytes.used = tree.usage.usedBytes }
                found += passed(&own.bytes, bytes, nodes: false).map { (holder, $0) }
                found += passed(&own.nodes, nodes, nodes: true).map { (holder, $0) }
                let ranges = (
                    own.bytes.range(of: bytes.limit, policy.percents),
                    own.nodes.range(of: nodes.limit, policy.percents)
                )
                if level.mark(bytes: ranges.0, nodes: ranges.1) || growsByItself { break }
            }
            known[level.number] = own
        }
        ladders = known
        guard !found.isEmpty else { return }
        var directories: Set<NodeID> = []
        for case (.directory(let directory), _) in found { directories.insert(directory) }
        let paths = tree.paths(of: directories, steps: 0)
        for (holder, crossing) in found {
            switch holder {
            case .mount: tell(crossing(.mount))
            case .directory(let directory):
                tell(crossing(.directory(paths[directory].map { MountPath(names: $0).text } ?? "?")))
            case .user(let user): tell(crossing(.user(user)))
            }
        }
    }

    /// The highest threshold that was passed, if any; all of them are counted.
    private func passed(
        _ ladder: inout ThresholdLadder, _ use: LevelUse, nodes: Bool
    ) -> [(ThresholdCrossing.Place) -> ThresholdCrossing] {
        let news = ladder.climb(to: use.used, reached: use.reached, of: use.limit, policy.percents)
        guard let highest = news.last, let limit = use.limit else { return [] }
        counts.withLock { counts in
            for (index, percent) in policy.percents.enumerated() where news.contains(percent) {
                counts[index] += 1
            }
        }
        let used = max(use.used, use.reached)
        return [
            { place in
                ThresholdCrossing(
                    percent: highest, countsNodes: nodes, place: place, limit: limit, used: used)
            }
        ]
    }

    private func tell(_ crossing: ThresholdCrossing) {
        log.log(
            .warning, .threshold, crossing.message(on: path),
            [
                "threshold": "\(crossing.percent)", "kind": "\(crossing.countsNodes ? "nodes" : "bytes")",
                "directory": "\(crossing.directory)", "user": "\(crossing.user)",
                "limit": "\(crossing.limit)", "used": "\(crossing.used)",
            ])
        hook?.run(for: crossing)
    }
}
