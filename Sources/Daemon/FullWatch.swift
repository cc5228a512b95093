import Basics
import CLinux
import Glibc
import Logging
import Tree

/// Tells the log that a mount is full, and whom it refused: at the first refusal, and then once a minute as
/// long as there are more.
final class FullWatch: Sendable {
    private static let silenceMilliseconds = 60_000
    /// Users told apart.
    private static let mostUsers = 64

    private struct Refused {
        var count = 0
        var counts: [UInt32: Int] = [:]
        var first: First?
    }

    private struct First {
        let caller: Caller
        let error: Errno
        var command = "?"
    }

    private let refused = Lock(Refused())
    private let log: Logger
    private let path: String
    /// Set at the first refusal; negative where none was to be had: nothing is logged then.
    private let event: Int32

    init(_ path: String, log: Logger) {
        self.path = path
        self.log = log
        event = linux_event_make()
    }

    deinit {
        if event >= 0 { close(event) }
    }

    /// Notes that a request of `caller` was refused with `error`. Quick, and from any thread.
    func refused(_ caller: Caller, with error: Errno) {
        guard event >= 0 else { return }
        let isFirst = refused.withLock { refused in
            refused.count += 1
            if refused.counts[caller.user] != nil || refused.counts.count < Self.mostUsers {
                refused.counts[caller.user, default: 0] += 1
            }
            guard refused.first == nil else { return false }
            refused.first = First(caller: caller, error: error)
            return true
        }
        guard isFirst else { return }
        // As long as it has no answer it is there to be named.
        let command = Files.firstLine(of: "/proc/\(caller.process)/comm")
        if let command { refused.withLock { $0.first?.command = command } }
        linux_event_set(event)
    }

    /// Logs, from now on, what was refused by `tree`.
    func start(watching tree: Tree) throws(Errno) {
        guard event >= 0 else { return }
        try Thread.start { [self] in
            while true {
                guard linux_event_await(event, -1) != 0 else { continue }
                // Who is refused is refused again at once: a moment later there is a number to tell.
                ProcessWatch.pause(milliseconds: 100)
                tell(tree)
                ProcessWatch.pause(milliseconds: Self.silenceMilliseconds)
            }
        }
    }

    private func tell(_ tree: Tree) {
        let refused = refused.withLock { state in
            let taken = state
            state = Refused()
            return taken
        }
        guard let first = refused.first else { return }
        let caller = first.caller
        let usage = tree.usage
        let nodes = usage.maxNodes.map { ", \(usage.nodes) of \($0) nodes" } ?? ""
        let most = refused.counts.max { $0.value < $1.value }?.key ?? caller.user
        log.log(
            .warning, .full,
            """
            \(path) is full: \(ByteCount(usage.usedBytes)) of \(ByteCount(usage.limitBytes)) used\(nodes); \
            refused \(refused.count) requests, first of process \(caller.process) (\(first.command)), mostly \
            of user \(most): \(Wording.of(first.error))
            """,
            [
                "used": "\(usage.usedBytes)", "limit": "\(usage.limitBytes)", "refused": "\(refused.count)",
                "pid": "\(caller.process)", "comm": "\(first.command)", "uid": "\(most)",
                "errno": "\(first.error.rawValue)",
            ])
    }
}
