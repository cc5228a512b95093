import Basics
import Control
import Fuse
import Glibc
import Logging
import Synchronization
import Tree

/// Tells the service manager how the mount is: a line of status whenever it has changed, and that we are
/// alive as long as we are. Without a service manager it does nothing.
///
/// Alive means that the tree answers, and that not every worker has been at the same request since the last
/// time. It never asks through the mount itself: a daemon that waits for itself is not alive.
final class Heartbeat: Sendable {
    private static let statusMilliseconds = 5000

    private let readiness: Readiness
    private let tree: Tree
    private let session: Session
    private let freezer: Freezer
    private let log: Logger
    private let hasBegun = Atomic<Bool>(false)

    init(_ readiness: Readiness, tree: Tree, session: Session, freezer: Freezer, log: Logger) {
        self.readiness = readiness
        self.tree = tree
        self.session = session
        self.freezer = freezer
        self.log = log
    }

    /// Starts a thread, which says nothing before `begin`.
    func start() throws(Errno) {
        guard readiness.hasManager else { return }
        try Thread.start { [self] in run() }
    }

    /// To be called when the manager knows that the mount is usable: his line of status is ours from now on.
    func begin() { hasBegun.store(true, ordering: .relaxed) }

    private func run() {
        // Half of what the manager waits, as it recommends.
        let watchdog = Self.watchdogMilliseconds().map { max(1, $0 / 2) }
        let interval = min(watchdog ?? Self.statusMilliseconds, Self.statusMilliseconds)
        var told = ""
        var isStuck = false
        var lastAlive = Files.monotonicMilliseconds()
        var before = session.beats()
        while true {
            ProcessWatch.pause(milliseconds: interval)
            guard hasBegun.load(ordering: .relaxed) else { continue }
            let status = status
            if status != told { readiness.tellManager("STATUS=\(status)") }
            told = status
            guard let watchdog, Files.monotonicMilliseconds() - lastAlive >= watchdog - interval / 2 else {
                continue
            }
            lastAlive = Files.monotonicMilliseconds()
            let now = session.beats()
            let wasStuck = isStuck
            isStuck = zip(before, now).allSatisfy { $0 == $1 && $0 % 2 == 1 }
            before = now
            // Where the root's lock is held for ever, so is this thread, and nobody hears of it again.
            if !isStuck, answers {
                readiness.tellManager("WATCHDOG=1")
            } else if !wasStuck {
                log.log(.error, .stuck, "every worker has been at one request for \(watchdog) ms")
            }
        }
    }

    private var answers: Bool {
        do throws(Errno) {
            _ = try tree.attributes(of: .root)
            return true
        } catch {
            return false
        }
    }

    private var status: String {
        let usage = tree.usage
        let share = usage.limitBytes > 0 ? Double(usage.usedBytes) / Double(usage.limitBytes) * 100 : 0
        let nodes = usage.maxNodes.map { "\(usage.nodes)/\($0) nodes" } ?? "\(usage.nodes) nodes"
        let used = "\(ByteCount(usage.usedBytes))/\(ByteCount(usage.limitBytes)) used (\(Int(share)) %)"
        let refusals = usage.refusals
        let refused = refusals.bytes + refusals.nodes + refusals.guardRefusals + refusals.directory
        let frozen = freezer.status.map { ", \($0.summary)" } ?? ""
        return "\(used), \(nodes)\(refused > 0 ? ", \(refused) requests refused" : "")\(frozen)"
    }

    /// How often the manager wants to hear of us; nil where it does not, or means another process.
    private static func watchdogMilliseconds() -> Int? {
        guard let text = Files.environment("WATCHDOG_USEC"), let microseconds = Int(text), microseconds > 0
        else { return nil }
        if let process = Files.environment("WATCHDOG_PID"), process != "\(getpid())" { return nil }
        return microseconds / 1000
    }
}
