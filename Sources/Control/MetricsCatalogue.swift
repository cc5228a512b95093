/// One metric: what it is called and means, and how its samples are made. The one catalogue, which output and
/// the page Metrics of the documentation are held against.
package struct MetricFamily: Sendable {
    package enum Kind: String, Sendable {
        case gauge, counter, histogram
    }

    package struct Sample {
        var suffix = ""
        var labels: [(String, String)] = []
        let value: String
    }

    /// Without the `_total` that ends the name of a counter's samples.
    package let name: String
    package let kind: Kind
    /// In which it is measured; the name ends with it.
    package var unit: String? { ["bytes", "seconds"].first { name.hasSuffix("_\($0)") } }
    /// Beside `mountpoint`, which all have.
    package let labels: [String]
    package let help: String
    package let samples: @Sendable (MetricsSnapshot) -> [Sample]

    package var sampleName: String { kind == .counter ? "\(name)_total" : name }

    private init(
        _ name: String, _ kind: Kind, _ labels: [String] = [], _ help: String,
        _ samples: @escaping @Sendable (MetricsSnapshot) -> [Sample]
    ) {
        self.name = "dmemfs_\(name)"
        self.kind = kind
        self.labels = labels
        self.help = help
        self.samples = samples
    }

    /// One number; no sample where there is none.
    private static func gauge(
        _ name: String, _ help: String, _ value: @escaping @Sendable (MetricsSnapshot) -> Int?
    ) -> MetricFamily {
        MetricFamily(name, .gauge, [], help) { snapshot in
            value(snapshot).map { [Sample(value: "\($0)")] } ?? []
        }
    }

    private static func counter(
        _ name: String, _ help: String, _ value: @escaping @Sendable (MetricsSnapshot) -> Int
    ) -> MetricFamily {
        MetricFamily(name, .counter, [], help) { [Sample(value: "\(value($0))")] }
    }

    /// One number of each directory that is named.
    private static func directoryGauge(
        _ name: String, _ help: String, _ value: @escaping @Sendable (QuotaStatus) -> Int?
    ) -> MetricFamily {
        MetricFamily("directory_\(name)", .gauge, ["directory"], help) { snapshot in
            named(snapshot.quotas).compactMap { quota in
                value(quota).map { Sample(labels: [("directory", quota.directory)], value: "\($0)") }
            }
        }
    }

    /// One number of each user that is named.
    private static func userGauge(
        _ name: String, _ help: String, _ value: @escaping @Sendable (UserQuotaStatus) -> Int?
    ) -> MetricFamily {
        MetricFamily("user_\(name)", .gauge, ["user"], help) { snapshot in
            snapshot.quotas.users.compactMap { quota in
                value(quota).map { Sample(labels: [("user", "\(quota.user)")], value: "\($0)") }
            }
        }
    }

    // MARK: The catalogue

    package static let all = ofTheMount + ofRequests + ofTheGuard + ofDirectories + ofUsers

    private static let ofTheMount = [
        MetricFamily(
            "build_info", .gauge, ["version", "engine", "storage"],
            "Always 1; the labels say what serves the mount."
        ) { snapshot in
            let status = snapshot.status
            let labels = [
                ("version", status.version), ("engine", status.engine), ("storage", status.storage),
            ]
            return [Sample(labels: labels, value: "1")]
        },
        gauge("frozen_seconds", "How long the mount has been frozen; 0 while it is not.") {
            $0.status.frozen.value?.secondsFrozen ?? 0
        },
        gauge("parked_requests", "Requests that wait for the end of a freeze.") {
            $0.status.frozen.value?.parkedRequests ?? 0
        },
        gauge("parked_bytes", "Memory that those requests take, beside what is used.") {
            $0.status.frozen.value?.parkedBytes ?? 0
        },
        gauge("uptime_seconds", "How long the mount has been there.") { $0.status.uptimeSeconds },
        gauge("limit_bytes", "The most that may be used.") { $0.status.limitBytes },
        gauge("used_bytes", "Data and metadata, all that counts against the limit.") {
            $0.status.usedBytes
        },
        gauge("data_bytes", "What the contents of files take.") { $0.status.dataBytes },
        gauge("metadata_bytes", "What names, inodes, attributes and indexes take.") {
            $0.status.metadataBytes
        },
        gauge("reserved_bytes", "Set aside for requests in flight; part of what is used.") {
            $0.status.reservedBytes
        },
        gauge("open_unlinked_bytes", "Held by files without a name that are still open.") {
            $0.status.openUnlinkedBytes
        },
        gauge("peak_bytes", "The most that was used since the mount.") { $0.status.peakBytes },
        gauge("recent_peak_bytes", "The most that was used since the peaks were reset.") {
            $0.peaks.recentPeakBytes
        },
        gauge("limit_nodes", "The most nodes there may be; missing where only bytes bound them.") {
            $0.status.maxNodes.value
        },
        gauge("nodes", "Files, directories, symbolic links and other nodes.") { $0.status.nodes },
        gauge("peak_nodes", "The most nodes there were since the mount.") { $0.status.peakNodes },
        gauge("recent_peak_nodes", "The most nodes there were since the peaks were reset.") {
            $0.peaks.recentPeakNodes
        },
        gauge("resident_bytes", "Memory of the daemon, its private tmpfs included.") {
            $0.status.residentBytes
        },
    ]

    private static let ofRequests = [
        MetricFamily(
            "refusals", .counter, ["reason"], "Operations that were refused, by the limit that did it."
        ) { snapshot in
            let refusals = snapshot.status.refusals
            let reasons = [
                ("bytes", refusals.bytes), ("nodes", refusals.nodes), ("directory", refusals.directory),
                ("user", refusals.user), ("guard", refusals.memoryGuard), ("storage", refusals.storage),
                ("writeback", refusals.writeback),
            ]
            return reasons.map { Sample(labels: [("reason", $0.0)], value: "\($0.1)") }
        },
        MetricFamily(
            "threshold_crossings", .counter, ["percent"],
            "How often use has passed this share of a limit, the mount's, a directory's or a user's."
        ) { snapshot in
            snapshot.crossings.map { Sample(labels: [("percent", "\($0.percent)")], value: "\($0.count)") }
        },
        MetricFamily(
            "request_duration_seconds", .histogram, ["operation"],
            "How long the daemon took to answer a request of the kernel, by operation."
        ) { snapshot in
            snapshot.operations.flatMap { histogram(of: $0, snapshot.bounds) }
        },
        counter("read_bytes", "What read requests were answered with.") { $0.readBytes },
        counter("written_bytes", "What write requests have stored.") { $0.writtenBytes },
    ]

    private static let ofTheGuard = [
        MetricFamily(
            "guard_info", .gauge, ["mode", "action"], "Always 1; the labels say what the memory guard does."
        ) { snapshot in
            let watch = snapshot.status.memoryGuard
            return [Sample(labels: [("mode", watch.mode), ("action", watch.action)], value: "1")]
        },
        gauge("guard_tripped", "1 while the memory guard refuses growth, else 0.") {
            $0.status.memoryGuard.tripped ? 1 : 0
        },
        gauge(
            "guard_available_bytes", "Memory that the guard leaves to grow into; missing where none watches."
        ) { $0.status.memoryGuard.availableBytes.value },
    ]

    private static let ofDirectories = [
        gauge("directories", "Directories with a quota.") { $0.quotas.count },
        gauge("directories_left_out", "Those that have no series: only the largest are named.") {
            $0.quotas.count - named($0.quotas).count
        },
        directoryGauge("limit_bytes", "The most that may be used within; missing for no limit.") {
            $0.maxBytes.value
        },
        directoryGauge("used_bytes", "What is used within.") { $0.usedBytes },
        directoryGauge("limit_nodes", "The most nodes there may be within; missing for no limit.") {
            $0.maxNodes.value
        },
        directoryGauge("nodes", "Nodes within.") { $0.usedNodes },
    ]

    private static let ofUsers = [
        gauge("users", "Users with a limit.") { $0.quotas.userCount },
        gauge("users_left_out", "Those that have no series: only the largest are named.") {
            $0.quotas.userCount - $0.quotas.users.count
        },
        userGauge("limit_bytes", "The most that a user's files may take; missing for no limit.") {
            $0.maxBytes.value
        },
        userGauge("used_bytes", "What a user's files take.") { $0.usedBytes },
        userGauge("limit_nodes", "The most nodes a user may own; missing for no limit.") {
            $0.maxNodes.value
        },
        userGauge("nodes", "Nodes that a user owns.") { $0.usedNodes },
    ]

    /// The longest path that is a label.
    private static let labelLimitBytes = 1024

    /// The directories that can be named: two with one text, as bytes that are no UTF-8 may give them, would
    /// make all metrics unreadable.
    private static func named(_ directories: LargestQuotas) -> [QuotaStatus] {
        var seen: Set<String> = []
        return directories.quotas.filter { quota in
            quota.directory.utf8.count <= labelLimitBytes && seen.insert(quota.directory).inserted
        }
    }

    private static func histogram(
        of operation: MetricsSnapshot.Operation, _ bounds: [Int]
    ) -> [Sample] {
        let label = ("operation", operation.name)
        var count = 0
        var samples: [Sample] = []
        for (index, requests) in operation.requests.enumerated() {
            count += requests
            let bound = index < bounds.count ? MetricsText.seconds(bounds[index]) : "+Inf"
            samples.append(Sample(suffix: "_bucket", labels: [label, ("le", bound)], value: "\(count)"))
        }
        let seconds = MetricsText.seconds(operation.nanoseconds)
        samples.append(Sample(suffix: "_sum", labels: [label], value: seconds))
        samples.append(Sample(suffix: "_count", labels: [label], value: "\(count)"))
        return samples
    }
}
