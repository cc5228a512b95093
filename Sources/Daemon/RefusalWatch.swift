import Basics
import CLinux
import Glibc
import Logging
import Serving
import Tree

/// Remembers what a mount has refused, for `dmemfs why`, and tells the log: one line for each cause, at its
/// first refusal, and then once a minute as long as there are more.
///
/// A request does here what must be done before its caller has the answer, after which he may be gone: it
/// notes who he is. Where in the tree it happened is found by a thread that sleeps until there is something
/// to find, and takes a fifth of one processor at the most.
final class RefusalWatch: Sendable {
    private static let silenceMilliseconds = 60_000
    /// Who is refused is refused again at once: a moment later there is a number to tell.
    private static let momentMilliseconds = 100
    /// How many of those who are refused are looked at in /proc within a second.
    private static let mostLooks = 50
    /// How many nodes and names are looked at to find a file's name, or the largest holder.
    static let searchSteps = 4_000_000

    private struct Cause {
        var count = 0
        /// By their numbers.
        var first = 0
        var last = 0
        /// When there is something to tell; nil where there is not.
        var dueMilliseconds: Int?
        var lastMilliseconds = Int.min / 2
    }

    private struct State {
        var ring = RefusalRing()
        var causes: [RefusalKind: Cause] = [:]
        /// Those of whom it is not known yet where they are.
        var unplaced: [Int] = []
        var looks = 0
        var lookSecond = 0
    }

    /// A cause that is to be told of now.
    struct Story {
        let example: RefusalRecord
        /// Whether it is the first of them; else it is the last.
        let isFirst: Bool
        let count: Int
    }

    private let state = Lock(State())
    private let log: Logger
    let path: String
    /// Set when there is something to find or to tell; negative where none was to be had: nothing is then.
    private let event: Int32

    init(_ path: String, log: Logger) {
        self.path = path
        self.log = log
        event = linux_event_make()
    }

    deinit {
        if event >= 0 { close(event) }
    }

    // MARK: - On the threads that serve

    /// Notes a refusal. Quick where it comes again, and otherwise some microseconds; from any thread.
    func refused(_ refusal: Refusal) {
        let now = Clock.system.now()
        let moment = Files.monotonicMilliseconds()
        let (number, looks) = state.withLock { state -> (Int?, Bool) in
            if let record = state.ring.countAgain(refusal, at: now) {
                Self.count(record, at: moment, &state)
                return (nil, false)
            }
            let number = state.ring.add(refusal, at: now)
            if let record = state.ring[number] { Self.count(record, at: moment, &state) }
            return (number, Self.mayLook(at: moment, &state))
        }
        guard let number else { return }
        let culprit = looks ? ProcessStatus(of: refusal.caller.process) : nil
        state.withLock { state in
            state.ring.change(number) { $0.culprit = culprit }
            state.unplaced.append(number)
            // Nobody finds so many before they are overwritten.
            if state.unplaced.count > RefusalRing.capacity { state.unplaced.removeFirst() }
        }
        if event >= 0 { linux_event_set(event) }
    }

    private static func count(_ record: RefusalRecord, at moment: Int, _ state: inout State) {
        var cause = state.causes[record.kind] ?? Cause()
        if cause.count == 0 {
            cause.first = record.number
            cause.dueMilliseconds = max(
                moment + momentMilliseconds, cause.lastMilliseconds + silenceMilliseconds)
        }
        cause.count += 1
        cause.last = record.number
        state.causes[record.kind] = cause
    }

    private static func mayLook(at moment: Int, _ state: inout State) -> Bool {
        if state.lookSecond != moment / 1000 { (state.lookSecond, state.looks) = (moment / 1000, 0) }
        state.looks += 1
        return state.looks <= mostLooks
    }

    // MARK: - On a thread of its own

    /// Finds and tells, from now on, what was refused by `tree`.
    func start(watching tree: Tree) throws(Errno) {
        guard event >= 0 else { return }
        try Thread.start { [self] in
            var searchMilliseconds = 0
            while true {
                _ = linux_event_await(event, timeout(notSearchingBefore: searchMilliseconds))
                let begin = Files.monotonicMilliseconds()
                if begin >= searchMilliseconds {
                    place(in: tree)
                    let end = Files.monotonicMilliseconds()
                    searchMilliseconds = end + 4 * (end - begin)
                }
                for story in due() { tell(story, of: tree) }
            }
        }
    }

    /// How long there is nothing to do, in milliseconds; -1 until the event.
    private func timeout(notSearchingBefore search: Int) -> Int32 {
        let now = Files.monotonicMilliseconds()
        return state.withLock { state in
            var moments = state.causes.values.compactMap(\.dueMilliseconds)
            if !state.unplaced.isEmpty { moments.append(search) }
            return moments.min().map { Int32(clamping: max(0, $0 - now)) } ?? -1
        }
    }

    /// Finds where in the tree the new refusals are.
    private func place(in tree: Tree) {
        let records = state.withLock { state in
            let numbers = state.unplaced
            state.unplaced = []
            return numbers.compactMap { state.ring[$0] }
        }
        guard !records.isEmpty else { return }
        let holders = tree.holders(ofLevels: Set(records.compactMap { $0.refusal.note?.level }))
        var nodes = Set(records.map { $0.refusal.attempt.node })
        for case .directory(let directory) in holders.values { nodes.insert(directory) }
        let paths = tree.paths(of: nodes, steps: Self.searchSteps)
        state.withLock { state in
            for record in records {
                state.ring.change(record.number) { record in
                    let attempt = record.refusal.attempt
                    record.limit = .nowhere
                    switch record.refusal.note.flatMap({ holders[$0.level] }) {
                    case .directory(let directory):
                        if let path = paths[directory] { record.limit = .at(path) }
                    case .user(let user): record.limitUser = user
                    case .mount, nil: break
                    }
                    let path = paths[attempt.node]
                    record.path = path.map { .at($0 + (attempt.name.map { [$0] } ?? [])) } ?? .nowhere
                }
            }
        }
    }

    private func due() -> [Story] {
        let now = Files.monotonicMilliseconds()
        return state.withLock { state in
            var stories: [Story] = []
            for (kind, cause) in state.causes {
                guard let due = cause.dueMilliseconds, due <= now else { continue }
                let first = state.ring[cause.first]
                // In a minute the first may have been overwritten.
                if let example = first ?? state.ring[cause.last] {
                    stories.append(
                        Story(example: example, isFirst: first != nil, count: cause.count))
                }
                state.causes[kind] = Cause(lastMilliseconds: now)
            }
            return stories
        }
    }

    private func tell(_ story: Story, of tree: Tree) {
        let line = RefusalLine(story, on: path, of: tree)
        log.log(line.level, line.event, line.message, line.figures)
    }

    // MARK: - For who asks

    /// The last refusals, the newest last; waits a moment for those that are being looked at.
    func last() -> [RefusalRecord] {
        let deadline = Files.monotonicMilliseconds() + Self.momentMilliseconds
        let asked = state.withLock { $0.ring.total }
        while true {
            let records = state.withLock { $0.ring.all }
            let isKnown = records.allSatisfy { $0.number > asked || $0.path != .unknown }
            if isKnown || event < 0 || Files.monotonicMilliseconds() >= deadline { return records }
            Thread.pause(microseconds: 1000)
        }
    }
}
