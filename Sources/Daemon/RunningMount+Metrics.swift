import Control
import Fuse
import Tree

/// The figures of a mount for those who watch over machines.
extension RunningMount: MetricsKeeper {
    func snapshot(directories: Int) -> MetricsSnapshot {
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
            directories: largestQuotas(upTo: directories))
    }

    func largestQuotas(upTo count: Int) -> LargestQuotas {
        let found = tree.largestQuotas(upTo: count)
        let quotas = found.quotas.map { QuotaStatus(MountPath(names: $0.path), $0.state) }
        return LargestQuotas(quotas: quotas, count: found.count)
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
