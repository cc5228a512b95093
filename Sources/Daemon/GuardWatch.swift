import Accounting
import Basics
import CLinux
import Glibc
import Logging
import Tree

/// The memory guard of a mount, and the thread that tells the log when it trips and when it lets go.
///
/// The thread sleeps until the guard trips; only then, and until it lets go, does it look once a second, so
/// that an idle daemon uses no CPU and the log is no request's business.
final class GuardWatch: Sendable {
    /// A guard that trips again and again says so at most this often.
    private static let silenceMilliseconds = 10_000
    private static let lookMilliseconds = 1000

    let memoryGuard: MemoryGuard
    private let memory: AvailableMemory
    private let log: Logger
    /// Set when the guard trips; negative where none was to be had: nothing is logged then.
    private let event: Int32

    init(_ policy: MemoryGuard.Policy, memory: AvailableMemory, log: Logger) {
        let event = linux_event_make()
        self.event = event
        self.memory = memory
        self.log = log
        memoryGuard = MemoryGuard(
            policy, available: { memory.reading() }, milliseconds: { Files.coarseMilliseconds() },
            tripping: { linux_event_set(event) })
    }

    deinit {
        if event >= 0 { close(event) }
    }

    /// Logs, from now on, what the guard does for `tree`.
    ///
    /// - Parameter growsByItself: files grow without a request that the guard could be asked about. The
    ///   thread then looks once an interval, and keeps files from growing while the guard is tripped.
    func start(watching tree: Tree, growsByItself: Bool) throws(Errno) {
        guard event >= 0, memoryGuard.policy.mode == .perWrite else { return }
        let interval = growsByItself ? memoryGuard.policy.intervalMilliseconds : -1
        try Thread.start { [self] in
            while true { watch(tree, lookingEach: interval) }
        }
    }

    /// - Parameter interval: in milliseconds; -1 to wait for the guard alone.
    private func watch(_ tree: Tree, lookingEach interval: Int) {
        if linux_event_await(event, Int32(clamping: interval)) == 0 {
            tree.lookAtMemory()
            return
        }
        let holds = interval >= 0 && memoryGuard.policy.action == .raise
        if holds { tree.holdWall(true) }
        let before = tree.usage.refusals.guardRefusals
        log.log(.warning, .shortage, tripped)
        let toldMilliseconds = Files.monotonicMilliseconds()
        repeat {
            ProcessWatch.pause(milliseconds: Self.lookMilliseconds)
            tree.lookAtMemory()
            // What was freed meanwhile must not grow again.
            if holds, memoryGuard.isTripped { tree.holdWall(true) }
        } while memoryGuard.isTripped
        if holds { tree.holdWall(false) }
        let refused = tree.usage.refusals.guardRefusals - before
        log.log(
            .notice, .recovered,
            "memory is to be had again: \(figures): files may grow; requests refused meanwhile: \(refused)",
            ["refused": "\(refused)"])
        let left = toldMilliseconds + Self.silenceMilliseconds - Files.monotonicMilliseconds()
        // Who must keep files from growing cannot be silent.
        if left > 0, !holds { ProcessWatch.pause(milliseconds: left) }
        // What happened in the silence is past, unless the guard is tripped still.
        if !memoryGuard.isTripped { _ = linux_event_await(event, 0) }
    }

    private var figures: String {
        let available = memoryGuard.availableBytes.map { ByteCount($0).description }
        return "\(available ?? "nobody knows what is") available"
    }

    private var tripped: String {
        let headroom = ByteCount(memoryGuard.policy.headroomBytes)
        let action =
            switch memoryGuard.policy.action {
            case .raise: "files may not grow (ENOSPC) until there is more"
            case .warn: "files may grow all the same, as --memory-guard-action says"
            }
        return "memory is short: \(figures), \(headroom) of it for others: \(action)"
    }
}
