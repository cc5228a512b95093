import Control
import Fuse
import Tree

/// The figures of a mount for those who watch over machines.
extension RunningMount: MetricsKeeper {
    func snapshot(naming count: Int) -> MetricsSnapshot {
        let transferred = session.transferredBytes
        let operations = session.figures().map {
            MetricsSnapshot.Operation(name: $0.name, requests: $0.requests, nanoseconds: $0.nanoseconds)
        }
        let crossings = thresholdWatch.crossings.map {
            MetricsSnapshot.Crossing(percent: $0.percent, count: $0.count)
        }
        return MetricsSnapshot(
            status: status, peaks: peaks, crossings: crossings, operations: operations,
            bounds: RequestFigures.bounds,
            readBytes: transferred.read, writtenBytes: transferred.written,
            quotas: largestQuotas(upTo: count))
    }

    func largestQuotas(upTo count: Int) -> LargestQuotas {
        let found = tree.largestQuotas(upTo: count)
        let users = tree.largestUserQuotas(upTo: count)
        return LargestQuotas(
            quotas: found.quotas.map { QuotaStatus(MountPath(names: $0.path), $0.state) }, count: found.count,
            users: users.quotas.map { UserQuotaStatus($0.user, $0.state) }, userCount: users.count)
    }

    func resetPeaks() -> Peaks {
        let before = peaks
        tree.resetPeaks()
        return before
    }

    private var peaks: Peaks {
        let usage = tree.usage
        return Peaks(recentPeakBytes: usage.recentPeakBytes, recentPeakNodes: usage.recentPeakNodes)
    }
}
