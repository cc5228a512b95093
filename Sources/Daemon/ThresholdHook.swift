import Basics
import CLinux
import Glibc
import Logging

/// Runs the program of `--threshold-hook`: one at a time, with nothing but its own environment, and with a
/// time limit after which it and all of its process group are killed.
final class ThresholdHook: Sendable {
    private static let limitMilliseconds = 10_000
    /// What comes while so many wait is not run.
    private static let mostWaiting = 64

    private struct State {
        var waiting: [ThresholdCrossing] = []
        var dropped = 0
        var running: pid_t?
    }

    private let state = Lock(State())
    private let program: String
    private let mountpoint: String
    private let log: Logger
    private let event: Int32

    init(_ program: String, at mountpoint: String, log: Logger) {
        self.program = program
        self.mountpoint = mountpoint
        self.log = log
        event = linux_event_make()
    }

    deinit {
        if event >= 0 { close(event) }
    }

    func start() throws(Errno) {
        guard event >= 0 else { throw Errno(rawValue: -event) }
        try Thread.start { [self] in
            while true {
                _ = linux_event_await(event, -1)
                while let crossing = next() { runNow(for: crossing) }
            }
        }
    }

    /// Has it run soon.
    func run(for crossing: ThresholdCrossing) {
        state.withLock { state in
            if state.waiting.count < Self.mostWaiting {
                state.waiting.append(crossing)
            } else {
                state.dropped += 1
            }
        }
        linux_event_set(event)
    }

    /// Kills the program where it still runs.
    func stop() {
        state.withLock { state in
            state.waiting = []
            if let running = state.running { kill(-running, SIGKILL) }
        }
    }

    private func next() -> ThresholdCrossing? {
        let (crossing, dropped) = state.withLock { state in
            let dropped = state.dropped
            state.dropped = 0
            return (state.waiting.isEmpty ? nil : state.waiting.removeFirst(), dropped)
        }
        if dropped > 0 { log.warning("\(program) was not run for \(dropped) thresholds: it is too slow") }
        return crossing
    }

    private func environment(for crossing: ThresholdCrossing) -> [String] {
        [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "DMEMFS_MOUNTPOINT=\(mountpoint)", "DMEMFS_DIRECTORY=\(crossing.directory)",
            "DMEMFS_USER=\(crossing.user)",
            "DMEMFS_KIND=\(crossing.countsNodes ? "nodes" : "bytes")", "DMEMFS_LIMIT=\(crossing.limit)",
            "DMEMFS_USED=\(crossing.used)", "DMEMFS_THRESHOLD=\(crossing.percent)",
        ]
    }

    private func runNow(for crossing: ThresholdCrossing) {
        let ending: Spawn.Ending
        do throws(Errno) {
            let child = try Spawn.startApart(program, environment: environment(for: crossing))
            state.withLock { $0.running = child }
            let watch = ProcessWatch(child)
            let isInTime = watch?.awaitEnd(milliseconds: Self.limitMilliseconds) ?? false
            // Also what it has left behind; until it is waited for, its number is nobody else's.
            kill(-child, SIGKILL)
            state.withLock { $0.running = nil }
            ending = try Spawn.wait(for: child)
            guard isInTime else {
                log.warning("\(program) was killed after \(Self.limitMilliseconds / 1000) s")
                return
            }
        } catch {
            log.warning("cannot run \(program): \(Wording.of(error))")
            return
        }
        if ending != .exited(0) { log.warning("\(program) ended with \(ending.code)") }
    }
}
