import Basics
import Control
import Glibc
import Support

/// Runs one pattern on a fresh mount and judges what it saw.
struct Runner {
    /// What memory may exceed what is reported as used, in bytes: what is kept for speed, slack nobody is
    /// charged for, the buffers of the workers.
    static let allowanceBytes = 32 << 20
    /// How long after the last removal use may take to fall: the kernel tells of forgotten nodes late.
    private static let settlingSeconds = 10

    /// With `strict` the smallest file takes a page and what the kernel keeps of it.
    private static let ampleStrictBytes = 8 << 30

    let pattern: any Pattern
    let engine: String
    let pause: Int
    private let group: ControlGroup?

    init(_ pattern: any Pattern, _ engine: String, seconds: Int) {
        self.pattern = pattern
        self.engine = engine
        pause = seconds
        group = ControlGroup()
    }

    /// One line of the table, and how much the pattern used, in bytes.
    struct Verdict {
        var row: [String]
        var faults: [String]
        var usedBytes: Int
    }

    /// - Parameter limitBytes: nil for one that suffices.
    func run(limitBytes: Int?) throws -> Verdict {
        defer { group?.remove() }
        let isLarger = engine == "strict" && !pattern.expectsRefusal
        let ample = isLarger ? Runner.ampleStrictBytes : pattern.ampleBytes
        let limit = limitBytes ?? ample
        let mount = try MountFixture(
            ["--size", "\(limit)", "--io", engine], seconds: pause, after: group?.joining)
        do {
            let verdict = try judge(mount, limit, isTight: limitBytes != nil)
            if let trouble = mount.stop() { throw Damage(description: trouble) }
            return verdict
        } catch {
            _ = mount.stop()
            throw error
        }
    }

    private func judge(_ mount: MountFixture, _ limit: Int, isTight: Bool) throws -> Verdict {
        let hands = try Hands(below: mount.path)
        let sampler = try Sampler(mount, engine, group)
        let start = time(nil)
        let filled = try sampler.watch { try inParts { try pattern.fill(hands, part: $0) } }
        let fillings = filled.result
        var worst = filled.worst
        let full = try sampler.now()
        let stored = fillings.reduce(0) { $0 + $1.steps }
        var faults: [String] = []
        if isTight { _ = try inParts { try pattern.check(hands, part: $0, fillings[$0]) } }
        let removal = try sampler.watch { () throws in
            _ = try inParts { try pattern.remove(hands, part: $0, fillings[$0]) }
            try hands.removeTop()
            hands.done()
        }.worst
        worst.excess = max(worst.excess, removal.excess)
        worst.groupExcess = max(worst.groupExcess, removal.groupExcess)
        worst.failure = worst.failure ?? removal.failure
        let after = try settled(sampler)
        let left = after.resident - sampler.empty.resident
        let groupLeft = after.group - sampler.empty.group
        faults += bounds(worst, limit, isTight: isTight)
        let isRefused = fillings.contains { $0.isRefused }
        if isTight, !isRefused { faults.append("nothing was refused") }
        if !isTight, isRefused != pattern.expectsRefusal { faults.append("refused: \(isRefused)") }
        if after.used != sampler.empty.used {
            faults.append("used \(after.used), was \(sampler.empty.used) when empty")
        }
        if left > Runner.allowanceBytes { faults.append("\(left) bytes stay resident") }
        if group != nil, groupLeft > Runner.allowanceBytes { faults.append("the cgroup keeps \(groupLeft)") }
        let row = [
            pattern.name, pattern.amount, "\(limit >> 20)", "\(stored)", Table.mebibytes(full.used),
            Table.mebibytes(worst.resident), Table.mebibytes(worst.excess), Table.mebibytes(left),
            group == nil ? "-" : Table.mebibytes(worst.groupExcess),
            group == nil ? "-" : Table.mebibytes(groupLeft),
            group == nil ? "-" : Table.mebibytes(worst.kernel), "\(time(nil) - start)",
            faults.isEmpty ? "good" : "BROKEN",
        ]
        return Verdict(row: row, faults: faults, usedBytes: max(worst.used, full.used))
    }

    private func bounds(_ worst: Sampler.Worst, _ limit: Int, isTight: Bool) -> [String] {
        var faults: [String] = []
        if let failure = worst.failure { faults.append(failure) }
        if worst.isOverLimit { faults.append("more was used than the limit") }
        if worst.excess > Runner.allowanceBytes { faults.append("resident exceeds use by \(worst.excess)") }
        let index = engine == "strict" ? pattern.loneIndexBytes : 0
        if group != nil, worst.groupExcess > Runner.allowanceBytes + index {
            faults.append("the cgroup exceeds use by \(worst.groupExcess)")
        }
        if isTight, worst.resident > limit + Runner.allowanceBytes {
            faults.append("resident exceeds the limit by \(worst.resident - limit)")
        }
        return faults
    }

    /// Runs `body` for each part of the pattern at once. Throws what one of them threw.
    private func inParts<Result: Sendable>(_ body: @Sendable @escaping (Int) throws -> Result) throws
        -> [Result]
    {
        let results = Lock<[Swift.Result<Result, any Error>?]>(Array(repeating: nil, count: pattern.parts))
        Threads.together(pattern.parts) { part in
            let result = Swift.Result { try body(part) }
            results.withLock { $0[part] = result }
        }
        return try results.withLock { $0 }.compactMap { try $0?.get() }
    }

    private func settled(_ sampler: Sampler) throws -> Sampler.Sample {
        let deadline = time(nil) + Runner.settlingSeconds
        while true {
            let sample = try sampler.now()
            if sample.used == sampler.empty.used || time(nil) >= deadline { return try sampler.now() }
            usleep(20_000)
        }
    }
}
