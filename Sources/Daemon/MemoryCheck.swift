import Accounting
import Basics

/// Whether a limit can be kept: compared with the memory there is, in figures.
struct MemoryCheck {
    /// What the daemon takes beside what it stores, at the most.
    static let overheadBytes = 32 << 20

    let policy: MemoryGuard.Policy
    let reading: MemoryReading?

    /// What lacks before the first byte is stored, as a sentence; nil where nothing does.
    func shortageAtStart(limitBytes: Int) -> String? {
        let wanted = "the limit of \(ByteCount(limitBytes)) and \(ByteCount(Self.overheadBytes)) of overhead"
        return shortage(of: Double(limitBytes) + Double(Self.overheadBytes), "\(wanted) are")
    }

    /// What lacks where a mount that holds `usedBytes` is to hold `limitBytes`; nil where nothing does.
    func shortage(growingTo limitBytes: Int, usedBytes: Int) -> String? {
        let missing = limitBytes - usedBytes
        let allowed = ByteCount(max(0, missing))
        return shortage(
            of: Double(missing), "the limit of \(ByteCount(limitBytes)) allows \(allowed) more, which is")
    }

    /// Counted as `Double`: a limit may be as large as can be written.
    private func shortage(of bytes: Double, _ wanted: String) -> String? {
        guard policy.mode != .none, let reading else { return nil }
        guard bytes > Double(reading.availableBytes) - Double(policy.headroomBytes) else { return nil }
        let available = ByteCount(max(0, reading.availableBytes))
        let headroom = ByteCount(policy.headroomBytes)
        return "\(wanted) more than can be had: \(available) are available, \(headroom) of them for others"
    }
}
