import Basics
import Synchronization

/// What there is to be had, as the machine and the cgroups say at one moment.
public struct MemoryReading: Hashable, Sendable {
    /// What may still be used, in bytes; below 0 where a limit was lowered below its use.
    public var availableBytes: Int
    /// How much of the time some task waits for memory, in percent; nil where the kernel does not tell.
    public var pressurePercent: Int?

    public init(availableBytes: Int, pressurePercent: Int? = nil) {
        self.availableBytes = availableBytes
        self.pressurePercent = pressurePercent
    }
}

/// Refuses growth while the machine, or a cgroup on the way up, is short of memory: before the OOM killer
/// acts.
///
/// Availability is read at most once an interval, and what has grown since the last reading is subtracted, so
/// that thousands of small writes cannot pass on one stale reading. A write that needs nothing is never asked
/// about. Nobody waits here but who is about to be refused: it waits for a fresh reading.
///
/// Invariant: what was admitted since a reading began, and what was then in flight, is never more than that
/// reading left.
public final class MemoryGuard: Sendable {
    /// What the mount uses at one moment.
    struct Use {
        /// All of it, in bytes.
        var usedBytes: Int
        /// What was set aside and may not be touched yet, so that no reading shows it, in bytes.
        var inFlightBytes: Int
    }

    /// When the guard looks, and what it does.
    public enum Mode: String, Sendable, CaseIterable {
        /// Never.
        case none
        /// At the start only.
        case start = "init"
        /// At the start, and before each growth.
        case perWrite = "per_write"
    }

    public enum Action: String, Sendable, CaseIterable {
        /// Say so, and go on.
        case warn
        /// Refuse with ENOSPC; at the start, do not mount.
        case raise
    }

    /// How the guard is set up.
    public struct Policy: Hashable, Sendable {
        public var mode: Mode
        public var action: Action
        /// The least time between two readings, in milliseconds; at least 1.
        public var intervalMilliseconds: Int
        /// What must stay available for everybody else, in bytes.
        public var headroomBytes: Int

        public init(
            mode: Mode = .perWrite, action: Action = .raise, intervalMilliseconds: Int = 1000,
            headroomBytes: Int = 64 << 20
        ) {
            self.mode = mode
            self.action = action
            self.intervalMilliseconds = intervalMilliseconds
            self.headroomBytes = headroomBytes
        }

        /// How much more than the headroom must be available before a tripped guard lets go, or it would
        /// flap with every page that comes and goes.
        var releaseBytes: Int { max(1 << 20, headroomBytes / 4) }
    }

    /// A refusal reads anew at most this often, or when the mount itself has freed memory since: what comes
    /// free is seen soon, at a bounded cost.
    private static let retryMilliseconds = 20
    private static let freedBytes = 1 << 20
    /// Pressure from here on counts, until it is below half of it: the kernel's average decays slowly.
    private static let pressurePercent = 20
    /// Under pressure the headroom is so many times as large.
    ///
    /// Pressure alone is no shortage: the machine's figure also rises when one job is held at its own limit,
    /// by its own page cache, while everybody else has plenty.
    private static let pressedHeadrooms = 4

    public let policy: Policy
    private let available: @Sendable () -> MemoryReading?
    private let milliseconds: @Sendable () -> Int
    /// Called when the guard trips, on the thread of the request: to be quick about.
    private let tripping: @Sendable () -> Void
    /// Held while a reading is made.
    private let reading = LockWord()
    /// Whether somebody makes a reading, so that nobody else needs to.
    private let isReading = Atomic<Bool>(false)
    /// When the last reading began.
    private let lastReading = Atomic<Int>(Int.min / 2)
    /// All that was ever admitted, in bytes.
    private let grown = Atomic<Int>(0)
    private let grownAtReading = Atomic<Int>(0)
    private let usedAtReading = Atomic<Int>(0)
    /// What `grown` may come to on the last reading.
    private let ceiling = Atomic<Int>(Int.min)
    private let lastAvailable = Atomic<Int>(Int.min)
    private let tripped = Atomic<Bool>(false)
    private let pressed = Atomic<Bool>(false)

    /// - Parameters:
    ///   - available: reads what there is; nil where that cannot be known.
    ///   - milliseconds: a clock that never goes back.
    ///   - tripping: told each time the guard trips.
    public init(
        _ policy: Policy, available: @escaping @Sendable () -> MemoryReading?,
        milliseconds: @escaping @Sendable () -> Int, tripping: @escaping @Sendable () -> Void = {}
    ) {
        self.policy = policy
        self.available = available
        self.milliseconds = milliseconds
        self.tripping = tripping
    }

    /// Whether the guard refuses, or warns, at present.
    public var isTripped: Bool { tripped.load(ordering: .relaxed) }

    /// What was available at the last reading, in bytes; nil where nothing was read.
    public var availableBytes: Int? {
        let bytes = lastAvailable.load(ordering: .relaxed)
        return bytes == .min ? nil : max(0, bytes)
    }

    /// What the last reading leaves to be used, in bytes; 0 while the guard is tripped.
    var leftBytes: Int {
        let left = MemoryGuard.difference(ceiling.load(ordering: .relaxed), grown.load(ordering: .relaxed))
        return isTripped ? 0 : max(0, left)
    }

    /// Reads anew where the last reading is an interval old: for who wants to know, not to grow.
    func look(use: () -> Use) {
        guard policy.mode == .perWrite else { return }
        readIfOld(milliseconds(), use: use)
    }

    /// What may be written now as far as the guard is concerned, in bytes.
    func admittedBytes(use: () -> Use) -> Int {
        guard policy.mode == .perWrite, policy.action == .raise else { return .max }
        look(use: use)
        return leftBytes
    }

    /// Whether `bytes` more may be used.
    ///
    /// - Parameter use: tells what is used without these bytes.
    @inline(__always)
    func admit(_ bytes: Int, use: () -> Use) -> Bool {
        guard policy.mode == .perWrite else { return true }
        let now = milliseconds()
        if now - lastReading.load(ordering: .relaxed) < policy.intervalMilliseconds, take(bytes) {
            return true
        }
        return admitSlowly(bytes, now, use: use)
    }

    @inline(never)
    private func admitSlowly(_ bytes: Int, _ now: Int, use: () -> Use) -> Bool {
        readIfOld(now, use: use)
        if take(bytes) { return true }
        // What others have freed meanwhile is worth a look before somebody is refused. Who is being read for
        // by another thread waits for that.
        reading.lock(as: .memoryGuard)
        if now - lastReading.load(ordering: .relaxed) >= MemoryGuard.retryMilliseconds || hasFreed(use()) {
            read(now, use: use)
        }
        reading.unlock(as: .memoryGuard)
        if take(bytes) { return true }
        // One large request that does not fit says nothing about the small ones after it.
        if bytes <= policy.releaseBytes { trip() }
        guard policy.action == .warn else { return false }
        grown.wrappingAdd(bytes, ordering: .relaxed)
        return true
    }

    /// Whether so much was freed since the last reading that a new one is worth its while.
    private func hasFreed(_ use: Use) -> Bool {
        let grownSince = grown.load(ordering: .relaxed) &- grownAtReading.load(ordering: .relaxed)
        let moreUsed = use.usedBytes &- usedAtReading.load(ordering: .relaxed)
        return grownSince &- moreUsed >= MemoryGuard.freedBytes
    }

    @inline(__always)
    private func take(_ bytes: Int) -> Bool {
        if isTripped { return false }
        // Not added first and taken back: a reading that began in between would allow it to others.
        var seen = grown.load(ordering: .relaxed)
        while true {
            let (wanted, overflows) = seen.addingReportingOverflow(bytes)
            guard !overflows, wanted <= ceiling.load(ordering: .relaxed) else { return false }
            let (won, now) = grown.weakCompareExchange(expected: seen, desired: wanted, ordering: .relaxed)
            if won { return true }
            seen = now
        }
    }

    private func trip() {
        if !tripped.exchange(true, ordering: .relaxed) { tripping() }
    }

    private func readIfOld(_ now: Int, use: () -> Use) {
        guard now - lastReading.load(ordering: .relaxed) >= policy.intervalMilliseconds else { return }
        guard !isReading.exchange(true, ordering: .acquiring) else { return }
        reading.lock(as: .memoryGuard)
        read(now, use: use)
        reading.unlock(as: .memoryGuard)
        isReading.store(false, ordering: .releasing)
    }

    /// Reads what is available. The order matters: what is admitted from here on counts against this
    /// reading, whether the reading shows it already or not; what was admitted before is in flight when that
    /// is asked, or was touched before and so is shown.
    private func read(_ now: Int, use: () -> Use) {
        let before = grown.load(ordering: .acquiring)
        grownAtReading.store(before, ordering: .relaxed)
        defer { lastReading.store(now, ordering: .relaxed) }
        let use = use()
        usedAtReading.store(use.usedBytes, ordering: .relaxed)
        guard let reading = available() else {
            // What cannot be read cannot be guarded: the quota still holds.
            lastAvailable.store(.min, ordering: .relaxed)
            ceiling.store(.max, ordering: .relaxed)
            tripped.store(false, ordering: .relaxed)
            return
        }
        lastAvailable.store(max(.min + 1, reading.availableBytes), ordering: .relaxed)
        let wasPressed = pressed.load(ordering: .relaxed)
        let threshold = wasPressed ? MemoryGuard.pressurePercent / 2 : MemoryGuard.pressurePercent
        let isPressed = (reading.pressurePercent ?? 0) >= threshold
        pressed.store(isPressed, ordering: .relaxed)
        let spare = MemoryGuard.difference(
            MemoryGuard.difference(reading.availableBytes, headroomBytes(isPressed)), use.inFlightBytes)
        let (top, overflows) = before.addingReportingOverflow(spare)
        ceiling.store(overflows ? (spare > 0 ? .max : .min) : top, ordering: .relaxed)
        let wanted = isTripped ? policy.releaseBytes : 0
        if spare > wanted { tripped.store(false, ordering: .relaxed) } else { trip() }
    }

    private func headroomBytes(_ isPressed: Bool) -> Int {
        guard isPressed else { return policy.headroomBytes }
        let (bytes, overflows) = policy.headroomBytes.multipliedReportingOverflow(
            by: MemoryGuard.pressedHeadrooms)
        return overflows ? .max : bytes
    }

    private static func difference(_ left: Int, _ right: Int) -> Int {
        let (difference, overflows) = left.subtractingReportingOverflow(right)
        return overflows ? (left < 0 ? .min : .max) : difference
    }
}
