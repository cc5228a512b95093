/// All that the metrics of a mount are made from, as of one moment.
public struct MetricsSnapshot: Sendable {
    /// How many requests of one kind there were, and how long they took.
    public struct Operation: Hashable, Sendable {
        public var name: String
        /// By how long they took: up to each of the bounds from the one before, and last the rest.
        public var requests: [Int]
        public var nanoseconds: Int

        public init(name: String, requests: [Int], nanoseconds: Int) {
            self.name = name
            self.requests = requests
            self.nanoseconds = nanoseconds
        }
    }

    /// How often any limit was passed upwards at a share of it, in percent.
    public struct Crossing: Hashable, Sendable {
        public var percent: Int
        public var count: Int

        public init(percent: Int, count: Int) {
            self.percent = percent
            self.count = count
        }
    }

    public var status: Status
    public var peaks: Peaks
    public var crossings: [Crossing]
    public var operations: [Operation]
    /// Of the times, in nanoseconds.
    public var bounds: [Int]
    public var readBytes: Int
    public var writtenBytes: Int
    public var quotas: LargestQuotas

    public init(
        status: Status, peaks: Peaks, crossings: [Crossing], operations: [Operation], bounds: [Int],
        readBytes: Int,
        writtenBytes: Int, quotas: LargestQuotas
    ) {
        self.status = status
        self.peaks = peaks
        self.crossings = crossings
        self.operations = operations
        self.bounds = bounds
        self.readBytes = readBytes
        self.writtenBytes = writtenBytes
        self.quotas = quotas
    }
}

/// The highest use since somebody last asked to begin anew; what `PUT /v1/peaks` answers, as of before.
public struct Peaks: Hashable, Sendable, Codable {
    public var recentPeakBytes: Int
    public var recentPeakNodes: Int

    public init(recentPeakBytes: Int, recentPeakNodes: Int) {
        self.recentPeakBytes = recentPeakBytes
        self.recentPeakNodes = recentPeakNodes
    }

    enum CodingKeys: String, CodingKey {
        case recentPeakBytes = "recent_peak_bytes"
        case recentPeakNodes = "recent_peak_nodes"
    }
}

/// What `GET /v1/largest` answers: the directories with quotas that hold most, and the users with limits who
/// own most, the largest first.
public struct LargestQuotas: Hashable, Sendable, Codable {
    public var quotas: [QuotaStatus]
    /// How many quotas there are, those included that are not listed.
    public var count: Int
    public var users: [UserQuotaStatus]
    /// The same of users.
    public var userCount: Int

    public init(quotas: [QuotaStatus], count: Int, users: [UserQuotaStatus], userCount: Int) {
        self.quotas = quotas
        self.count = count
        self.users = users
        self.userCount = userCount
    }

    enum CodingKeys: String, CodingKey {
        case quotas, count, users
        case userCount = "user_count"
    }
}

/// What tells the figures of a mount.
public protocol MetricsKeeper: Sendable {
    /// - Parameter count: how many directories, and how many users, to name at most.
    func snapshot(naming count: Int) -> MetricsSnapshot

    func largestQuotas(upTo count: Int) -> LargestQuotas

    /// Begins anew to keep the recent peaks, and returns those so far.
    func resetPeaks() -> Peaks
}

extension Endpoint {
    static let metricsPath = "/metrics"
    static let peaksPath = "/v1/peaks"
    static let largestPath = "/v1/largest"
    /// However many quotas there are, of directories and of users: each is some series.
    static let quotaLimit = 200

    /// The metrics, and what the page needs beside the status.
    public static func metrics(_ keeper: any MetricsKeeper) -> [Endpoint] {
        [
            Endpoint("GET", metricsPath, for: .anyone, reach: .network) { request in
                let form = MetricsText.Form(accepted: request.accepts)
                let snapshot = keeper.snapshot(naming: request.peer.mayKnowNames ? quotaLimit : 0)
                return Reply(form.mediaType, MetricsText.encoded(snapshot, as: form))
            },
            Endpoint("GET", largestPath, for: .anyone, reach: .page) { (request) throws(ControlRefusal) in
                guard request.peer.mayKnowNames else { throw .stranger }
                let count = try request.number("n", upTo: quotaLimit) ?? 20
                return .json(keeper.largestQuotas(upTo: count))
            },
            page,
            Endpoint("PUT", peaksPath, for: .trusted) { _ in .json(keeper.resetPeaks()) },
        ]
    }
}

extension Client {
    private static let metricsLimitBytes = 16 << 20

    /// The metrics of the daemon behind `mount`, in one form or the other.
    public static func metrics(
        of mount: MountEntry, as form: MetricsText.Form
    ) throws(ControlError) -> [UInt8] {
        let question = Wire.question(Endpoint.metricsPath, accepting: form.mediaType)
        return try Wire.body(of: try ask(question, of: mount, upTo: metricsLimitBytes))
    }

    /// The largest of the directories with quotas and of the users with limits, `count` of each at the most
    /// and never more than 200.
    public static func largestQuotas(
        of mount: MountEntry, upTo count: Int
    ) throws(ControlError) -> Result<LargestQuotas, ControlRefusal> {
        let question = Wire.question("\(Endpoint.largestPath)?n=\(count)")
        return try decoded(LargestQuotas.self, try ask(question, of: mount, upTo: metricsLimitBytes))
    }

    /// Has the recent peaks begin anew; a failure is the daemon's no.
    public static func resetPeaks(of mount: MountEntry) throws(ControlError) -> Result<Peaks, ControlRefusal>
    {
        try decoded(Peaks.self, try ask(Wire.question(Endpoint.peaksPath, putting: []), of: mount))
    }
}
