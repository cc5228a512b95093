import Glibc
import Synchronization

/// Looks whether work goes on, and says so with stacks when it does not.
package final class StallWatch: Sendable {
    private let moves = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)
    private let stalled = Atomic<Bool>(false)

    package init() {}

    /// Something moved. From any thread.
    package func move() { moves.wrappingAdd(1, ordering: .relaxed) }

    package var count: Int { moves.load(ordering: .relaxed) }

    /// Runs `body`, and calls `alarm` once where nothing moves for `seconds`. Returns whether all went on.
    package func watch(
        seconds: Int, _ body: () throws -> Void, alarm: @escaping @Sendable () -> Void
    ) rethrows -> Bool {
        let watcher = Threads.detach { [self] in
            var seen = count
            var since = time(nil)
            while !isOver.load(ordering: .relaxed) {
                usleep(100_000)
                let now = count
                if now != seen { (seen, since) = (now, time(nil)) }
                guard time(nil) - since >= seconds else { continue }
                stalled.store(true, ordering: .relaxed)
                return alarm()
            }
        }
        defer {
            isOver.store(true, ordering: .relaxed)
            watcher.join()
        }
        try body()
        return !stalled.load(ordering: .relaxed)
    }
}
