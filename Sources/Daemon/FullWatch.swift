import Basics
import CLinux
import Glibc
import Logging
import Tree

/// Tells the log that a mount is full, and whom it refused: at the first refusal, and then once a minute as
/// long as there are more.
final class FullWatch: Sendable {
    private static let silenceMilliseconds = 60_000
    private struct Refused {
        var count = 0
        var first: First?
    }

    private struct First {
        let process: Int32
        let error: Errno
        var command = "?"
        var user = "?"
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
            guard refused.first == nil else { return false }
            refused.first = First(process: caller.process, error: error)
            return true
        }
        guard isFirst else { return }
        // As long as it has no answer it is there to be named. The request itself tells no user: on mounts
        // that map users the kernel leaves him out of all but those that make something.
        let command = Files.firstLine(of: "/proc/\(caller.process)/comm") ?? "?"
        let users = Files.lines(of: "/proc/\(caller.process)/status").first { $0.hasPrefix("Uid:") }
        let user = users?.split(separator: "\t").dropFirst().first.map { String($0) } ?? "?"
        refused.withLock { refused in
            refused.first?.command = command
            refused.first?.user = user
        }
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
        let usage = tree.usage
        let nodes = usage.maxNodes.map { ", \(usage.nodes) of \($0) nodes" } ?? ""
        log.log(
            .warning, .full,
            """
            \(path) is full: \(ByteCount(usage.usedBytes)) of \(ByteCount(usage.limitBytes)) used\(nodes); \
            refused \(refused.count) requests, first of process \(first.process) (\(first.command)) of \
            user \(first.user): \(Wording.of(first.error))
            """,
            [
                "used": "\(usage.usedBytes)", "limit": "\(usage.limitBytes)", "refused": "\(refused.count)",
                "pid": "\(first.process)", "comm": "\(first.command)", "uid": "\(first.user)",
                "errno": "\(first.error.rawValue)",
            ])
    }
}
