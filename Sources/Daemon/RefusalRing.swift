import Basics
import Serving

/// One refusal, or many of the same kind that one thread met one after the other.
struct RefusalRecord: Sendable {
    /// Where something is: what is known of it.
    enum Place: Hashable, Sendable {
        /// Somebody will look for it soon.
        case unknown
        /// From the mount's root.
        case at([[UInt8]])
        /// It has no name any more, or was not found.
        case nowhere
    }

    /// From 1 on, in the order of time.
    let number: Int
    /// Of the first and the last.
    let first: Timestamp
    var last: Timestamp
    var count = 1
    let refusal: Refusal
    /// Of the first.
    var path = Place.unknown
    /// The directory whose quota refused.
    var limit = Place.unknown
    /// The user whose limit refused.
    var limitUser: UInt32?
    /// nil where nobody knows: of a write of the kernel's own, or where /proc was not read.
    var culprit: ProcessStatus?

    var kind: RefusalKind {
        if refusal.attempt.operation == .writeback { return .writeback }
        return refusal.note?.kind ?? .bytes
    }

    var user: UInt32? {
        if kind == .writeback { return nil }
        if let culprit { return culprit.filesystemUser }
        return refusal.caller.user == Caller.unknownID ? nil : refusal.caller.user
    }

    /// Whether it is of the same thread, and for the same reason.
    func isLike(_ other: Refusal) -> Bool {
        let attempt = refusal.attempt
        return attempt.operation == other.attempt.operation && refusal.error == other.error
            && refusal.caller.process == other.caller.process && refusal.note?.level == other.note?.level
            && refusal.note?.kind == other.note?.kind
            // The kernel's own writes have no thread: then the file tells them apart.
            && (refusal.caller.process != 0 || attempt.node == other.attempt.node)
    }
}

/// The last refusals. Bounded: in how many there are, and each in its size, as a name and a command are.
struct RefusalRing: Sendable {
    static let capacity = 256
    /// A full mount is hammered: what comes again within this time is the same refusal once more.
    private static let burstMilliseconds = 1000
    /// How many of the last may be met again, as several threads take turns.
    private static let burstThreads = 16

    /// At most `capacity`; the oldest is at `next` once it is full.
    private var records: [RefusalRecord] = []
    private var next = 0
    /// How many there were.
    private(set) var total = 0

    /// Counts a refusal that comes again. Returns the record, or nil where it is a new one.
    mutating func countAgain(_ refusal: Refusal, at time: Timestamp) -> RefusalRecord? {
        for age in 0..<min(Self.burstThreads, records.count) {
            let index = (next - 1 - age + 2 * Self.capacity) % Self.capacity
            guard records[index].isLike(refusal),
                time.milliseconds - records[index].last.milliseconds <= Self.burstMilliseconds
            else { continue }
            records[index].count += 1
            records[index].last = time
            return records[index]
        }
        return nil
    }

    /// Adds a refusal, instead of the oldest where there are many, and returns its number.
    mutating func add(_ refusal: Refusal, at time: Timestamp) -> Int {
        total += 1
        let record = RefusalRecord(number: total, first: time, last: time, refusal: refusal)
        if records.count < Self.capacity {
            records.append(record)
        } else {
            records[next] = record
        }
        next = (next + 1) % Self.capacity
        return total
    }

    /// Changes the record of this number, if it is still there.
    mutating func change(_ number: Int, _ change: (inout RefusalRecord) -> Void) {
        let index = (number - 1) % Self.capacity
        guard index < records.count, records[index].number == number else { return }
        change(&records[index])
    }

    subscript(number: Int) -> RefusalRecord? {
        let index = (number - 1) % Self.capacity
        return index < records.count && records[index].number == number ? records[index] : nil
    }

    /// The newest last.
    var all: [RefusalRecord] {
        records.count < Self.capacity ? records : Array(records[next...] + records[..<next])
    }
}

extension Timestamp {
    /// Since the epoch.
    var milliseconds: Int { Int(seconds) * 1000 + Int(nanoseconds) / 1_000_000 }
}
