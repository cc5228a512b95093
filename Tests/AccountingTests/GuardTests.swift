import Accounting
import Basics
import Synchronization
import Telemetry
import Testing

/// A machine whose memory and time a test sets.
private final class Machine: Sendable {
    let available = Atomic<Int>(0)
    let pressure = Atomic<Int>(0)
    let now = Atomic<Int>(0)
    let readings = Atomic<Int>(0)
    let trips = Atomic<Int>(0)
    let isKnown = Atomic<Bool>(true)
    /// Whose use takes from what is available; nil where that stays as it is set.
    private let user = Lock(User())

    /// Weakly: the ledger holds the guard, and that the machine.
    private struct User {
        weak var ledger: QuotaLedger?
    }

    init(available: Int) {
        self.available.store(available, ordering: .relaxed)
    }

    func pass(_ milliseconds: Int) { now.wrappingAdd(milliseconds, ordering: .relaxed) }
    func follow(_ ledger: QuotaLedger) { user.withLock { $0.ledger = ledger } }

    /// What was set, less what the ledger's user has touched, which is not yet what he has reserved.
    private var left: Int {
        let ledger = user.withLock { $0.ledger }
        let reserved = ledger?.reservedBytes ?? 0
        return available.load(ordering: .relaxed) - ((ledger?.usedBytes ?? 0) - reserved)
    }

    func set(_ bytes: Int) { available.store(bytes, ordering: .relaxed) }
    var count: Int { readings.load(ordering: .relaxed) }

    func memoryGuard(_ policy: MemoryGuard.Policy) -> MemoryGuard {
        MemoryGuard(policy) { [self] in
            readings.wrappingAdd(1, ordering: .relaxed)
            guard isKnown.load(ordering: .relaxed) else { return nil }
            return MemoryReading(
                availableBytes: left,
                pressurePercent: pressure.load(ordering: .relaxed))
        } milliseconds: { [self] in
            now.load(ordering: .relaxed)
        } tripping: { [self] in
            trips.wrappingAdd(1, ordering: .relaxed)
        }
    }
}

private let mebibyte = 1 << 20

@Suite("The memory guard")
struct GuardTests {
    private let machine = Machine(available: 100 * mebibyte)
    private let refusals = RefusalCounts()

    private func ledger(
        mode: MemoryGuard.Mode = .perWrite, action: MemoryGuard.Action = .raise, headroom: Int = 40
    ) -> (QuotaLedger, MemoryGuard) {
        let policy = MemoryGuard.Policy(
            mode: mode, action: action, intervalMilliseconds: 1000, headroomBytes: headroom * mebibyte)
        let memoryGuard = machine.memoryGuard(policy)
        let ledger = QuotaLedger(limitBytes: 1 << 40, refusals: refusals, guardedBy: memoryGuard)
        return (ledger, memoryGuard)
    }

    /// Uses so many MiB for good; returns whether that was admitted.
    private func grow(_ ledger: QuotaLedger, _ count: Int, into charge: inout Charge) -> Bool {
        do throws(Errno) {
            let held = try ledger.reserve(count * mebibyte)
            held.commit(into: &charge, data: count * mebibyte, metadata: 0)
            return true
        } catch {
            return false
        }
    }

    @Test("reads once an interval, and subtracts what has grown since")
    func interval() {
        let (ledger, memoryGuard) = ledger()
        machine.follow(ledger)
        var charge = Charge(to: ledger)
        for _ in 0..<60 { #expect(grow(ledger, 1, into: &charge)) }
        #expect(machine.count == 1 && !memoryGuard.isTripped)
        #expect(!grow(ledger, 1, into: &charge))
        #expect(memoryGuard.isTripped && refusals.memoryGuard.value == 1 && refusals.bytes.value == 0)
        #expect(ledger.usedBytes == 60 * mebibyte && ledger.reservedBytes == 0)
        #expect(ledger.admittedBytes == 0)
        #expect(machine.trips.load(ordering: .relaxed) == 1)
    }

    @Test("trips once, lets go a little above the headroom, and by itself")
    func hysteresis() {
        let (ledger, memoryGuard) = ledger()
        var charge = Charge(to: ledger)
        machine.set(40 * mebibyte)
        for _ in 0..<5 { #expect(!grow(ledger, 1, into: &charge)) }
        machine.set(50 * mebibyte)
        machine.pass(1000)
        #expect(!grow(ledger, 1, into: &charge), "it is back above the headroom, but by less than a quarter")
        machine.set(51 * mebibyte)
        machine.pass(5)
        #expect(!grow(ledger, 1, into: &charge), "a refusal read anew a moment ago")
        machine.pass(20)
        #expect(grow(ledger, 1, into: &charge) && !memoryGuard.isTripped)
        #expect(machine.trips.load(ordering: .relaxed) == 1)
        #expect(memoryGuard.availableBytes == 51 * mebibyte)
        #expect(ledger.admittedBytes == 10 * mebibyte)
    }

    @Test("one request that is too large does not stop the small ones")
    func largeRequest() {
        let (ledger, memoryGuard) = ledger()
        var charge = Charge(to: ledger)
        #expect(!grow(ledger, 1000, into: &charge))
        #expect(!memoryGuard.isTripped && grow(ledger, 1, into: &charge))
        #expect(refusals.memoryGuard.value == 1)
    }

    @Test("freed memory counts at once for who would be refused")
    func churn() {
        let (ledger, _) = ledger()
        machine.follow(ledger)
        for _ in 0..<20 {
            var charge = Charge(to: ledger)
            #expect(grow(ledger, 50, into: &charge))
        }
        #expect(refusals.memoryGuard.value == 0 && machine.count < 30)
    }

    @Test("what others have reserved and not yet touched is subtracted from a reading")
    func inFlight() throws {
        let (ledger, _) = ledger()
        let held = try ledger.reserve(50 * mebibyte)
        machine.pass(1000)
        var charge = Charge(to: ledger)
        #expect(!grow(ledger, 11, into: &charge))
        #expect(grow(ledger, 10, into: &charge))
        #expect(held.bytes == 50 * mebibyte)
    }

    /// Rule: limits.guard
    @Test("an operation that needs nothing is never asked about")
    func nothing() throws {
        let (ledger, _) = ledger()
        machine.set(0)
        let held = try ledger.reserve(0)
        #expect(held.bytes == 0 && machine.count == 0)
    }

    @Test("warn says so and goes on")
    func warn() {
        let (ledger, memoryGuard) = ledger(action: .warn)
        machine.follow(ledger)
        var charge = Charge(to: ledger)
        for _ in 0..<70 { #expect(grow(ledger, 1, into: &charge)) }
        #expect(memoryGuard.isTripped && refusals.memoryGuard.value == 0)
        #expect(machine.trips.load(ordering: .relaxed) == 1 && ledger.admittedBytes == .max)
    }

    @Test("without per_write nothing is read", arguments: [MemoryGuard.Mode.none, .start])
    func off(mode: MemoryGuard.Mode) {
        let (ledger, _) = ledger(mode: mode)
        machine.set(0)
        var charge = Charge(to: ledger)
        #expect(grow(ledger, 1, into: &charge) && machine.count == 0 && ledger.admittedBytes == .max)
    }

    @Test("where nothing can be read the quota alone holds, also after a shortage")
    func unknown() {
        let (ledger, memoryGuard) = ledger()
        var charge = Charge(to: ledger)
        machine.set(0)
        #expect(!grow(ledger, 1, into: &charge))
        machine.isKnown.store(false, ordering: .relaxed)
        machine.pass(1000)
        #expect(grow(ledger, 500, into: &charge) && !memoryGuard.isTripped)
        #expect(memoryGuard.availableBytes == nil)
    }

    @Test("figures at the ends of what can be counted trap nowhere")
    func extremes() {
        for bytes in [Int.min, .min + 1, -1, 0, .max - 1, .max] {
            machine.set(bytes)
            let (ledger, memoryGuard) = ledger(headroom: bytes == .max ? 0 : Int.max >> 20)
            var charge = Charge(to: ledger)
            #expect(grow(ledger, 1, into: &charge) == (bytes == .max))
            _ = (ledger.admittedBytes, memoryGuard.availableBytes)
        }
    }

    @Test("pressure quadruples the headroom, until it is below half")
    func pressure() {
        let (ledger, memoryGuard) = ledger(headroom: 20)
        var charge = Charge(to: ledger)
        let steps = [(19, 100, true), (20, 100, true), (20, 80, false), (10, 85, false), (9, 85, true)]
        for (percent, available, isAdmitted) in steps {
            machine.pressure.store(percent, ordering: .relaxed)
            machine.set(available * mebibyte)
            machine.pass(1000)
            #expect(grow(ledger, 1, into: &charge) == isAdmitted, "\(percent) %, \(available) MiB")
        }
        #expect(!memoryGuard.isTripped)
    }

    @Test("a directory's ledger asks the mount's guard")
    func directory() {
        let (mount, _) = ledger()
        let job = QuotaLedger(limitBytes: 1 << 40, parent: mount, refusals: refusals)
        var charge = Charge(to: job)
        #expect(!grow(job, 61, into: &charge) && mount.usedBytes == 0 && job.usedBytes == 0)
        #expect(grow(job, 60, into: &charge))
    }

    @Test("many threads together are admitted what one reading left, to the byte")
    func threads() async {
        let (ledger, _) = ledger()
        machine.follow(ledger)
        let keepers = await withTaskGroup(of: Keeper.self) { group in
            for _ in 0..<8 { group.addTask { Keeper(filling: ledger, attempts: 40_000) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let admitted = keepers.reduce(0) { $0 + $1.count }
        // Fewer only by what was in flight, and so counted twice, when a refusal read anew.
        #expect(admitted <= 60 * mebibyte / 4096 && admitted > 60 * mebibyte / 4096 - 8)
        #expect(refusals.memoryGuard.value == 8 * 40_000 - admitted)
        #expect(ledger.usedBytes == admitted * 4096 && ledger.reservedBytes == 0)
    }
}

/// Takes pages as long as it gets them, and keeps them.
private final class Keeper: Sendable {
    let count: Int
    private let charge: Lock<Charge>

    init(filling ledger: QuotaLedger, attempts: Int) {
        var charge = Charge(to: ledger)
        for _ in 0..<attempts {
            do throws(Errno) {
                let held = try ledger.reserve(4096)
                held.commit(into: &charge, data: 4096, metadata: 0)
            } catch {
                continue
            }
        }
        count = charge.bytes / 4096
        self.charge = Lock(charge, as: .inode)
    }
}
