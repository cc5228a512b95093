import Basics

/// What `POST /v1/freeze` asks.
public struct FreezeRequest: Hashable, Sendable, Codable {
    /// After which time to thaw at the latest, such as `60s` or `5m`; absent for a minute.
    public var timeout: String?
    /// Thaw when this connection ends, which stays open until then.
    public var hold: Bool?
    /// A descriptor of /dev/fuse follows, as SCM_RIGHTS with one byte, once the mount is frozen: serve it, so
    /// that it shows what is frozen. Only together with `hold`.
    public var view: Bool?

    public init(timeout: String?, hold: Bool, view: Bool) {
        self.timeout = timeout
        self.hold = hold
        self.view = view
    }
}

/// How a mount is frozen, as the status tells. The keys are a promise to scripts.
public struct FreezeStatus: Hashable, Sendable, Codable {
    /// Who asked for it.
    public var user: Int
    /// null where the kernel does not say.
    public var pid: OptionalCount
    /// When it ends at the latest, in seconds since 1970.
    public var until: Int
    public var secondsFrozen: Int
    /// Requests that wait, and the memory that they take.
    public var parkedRequests: Int
    public var parkedBytes: Int

    public init(
        user: UInt32, process: Int32?, until: Int, secondsFrozen: Int, parkedRequests: Int, parkedBytes: Int
    ) {
        self.user = Int(user)
        pid = OptionalCount(process.map { Int($0) })
        self.until = until
        self.secondsFrozen = secondsFrozen
        self.parkedRequests = parkedRequests
        self.parkedBytes = parkedBytes
    }

    enum CodingKeys: String, CodingKey {
        case user, pid, until
        case secondsFrozen = "seconds_frozen"
        case parkedRequests = "parked_requests"
        case parkedBytes = "parked_bytes"
    }

    /// Such as `1 request waits (93 B)`.
    public var waiting: String {
        let requests = parkedRequests == 1 ? "1 request waits" : "\(parkedRequests) requests wait"
        return "\(requests) (\(ByteCount(parkedBytes)))"
    }

    /// `frozen until 2026-01-31 12:00:00 by user 0`.
    public var summary: String { "frozen until \(Printable.localTime(until)) by user \(user)" }
}

/// How a freeze has ended.
public struct FreezeEnd: Hashable, Sendable, Codable {
    public enum Cause: String, Hashable, Sendable, Codable {
        /// Who has held it let it go, or is gone.
        case released
        /// By `POST /v1/thaw`.
        case thawed
        /// Its time was up.
        case expired
        /// More would have had to be put aside than may be.
        case full
        /// The mount ends.
        case unmounted
        /// What was to be served as a view of it could not be.
        case failed
    }

    public var cause: Cause
    public var secondsFrozen: Int
    /// Requests that had to wait until now.
    public var parkedRequests: Int

    public init(_ cause: Cause, secondsFrozen: Int, parkedRequests: Int) {
        self.cause = cause
        self.secondsFrozen = secondsFrozen
        self.parkedRequests = parkedRequests
    }

    enum CodingKeys: String, CodingKey {
        case cause
        case secondsFrozen = "seconds_frozen"
        case parkedRequests = "parked_requests"
    }

    /// Such as `1 request had waited`.
    public var waited: String {
        parkedRequests == 1 ? "1 request had waited" : "\(parkedRequests) requests had waited"
    }

    /// In a sentence: `the mount was thawed: …`.
    public var reason: String {
        switch cause {
        case .released: "it was let go"
        case .thawed: "somebody asked for it"
        case .expired: "its time was up: give it a longer --timeout"
        case .full: "too much waited to be written: freeze it when less is going on"
        case .unmounted: "it was unmounted"
        case .failed: "the view could not be served: the daemon's log says why"
        }
    }
}

/// A line of what `POST /v1/freeze` answers: one of these.
public struct FreezeLine: Hashable, Sendable, Codable {
    /// It is frozen from now on.
    public var frozen: FreezeStatus?
    /// The view can be used.
    public var view: Bool?
    /// It no longer is, and nothing follows.
    public var thawed: FreezeEnd?

    public init(frozen: FreezeStatus) { self.frozen = frozen }
    public init(view: Bool) { self.view = view }
    public init(thawed: FreezeEnd) { self.thawed = thawed }
}

/// What freezes and thaws.
public protocol FreezeKeeper: Sendable {
    /// Freezes, and says so. Returns when it need not be said that it has thawed, or has been.
    func freeze(_ request: FreezeRequest, by peer: Peer, in conversation: Conversation) throws(ControlRefusal)

    /// Thaws, and returns when what had to wait was served.
    func thaw() throws(ControlRefusal) -> FreezeEnd
}

extension Endpoint {
    static let freezePath = "/v1/freeze"
    static let thawPath = "/v1/thaw"

    public static func freezes(_ keeper: any FreezeKeeper) -> [Endpoint] {
        [
            Endpoint(conversing: freezePath) { (request, conversation) throws(ControlRefusal) in
                try keeper.freeze(
                    try request.json(FreezeRequest.self), by: request.peer, in: conversation)
            },
            Endpoint("POST", thawPath, for: .trusted, takesLong: true) { (_) throws(ControlRefusal) in
                .json(try keeper.thaw())
            },
        ]
    }
}
