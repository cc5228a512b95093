import Basics

/// A user's limit, as `/v1/quotas` and `/v1/users` answer and `dmemfs quota … --json` prints. The keys are a
/// promise to scripts.
public struct UserQuotaStatus: Hashable, Sendable, Codable {
    /// By number, as files on the mount have it.
    public var user: Int
    /// null where there is no such limit.
    public var maxBytes: OptionalCount
    public var maxNodes: OptionalCount
    public var usedBytes: Int
    public var usedNodes: Int

    public init(user: UInt32, maxBytes: Int?, maxNodes: Int?, usedBytes: Int, usedNodes: Int) {
        self.user = Int(user)
        self.maxBytes = OptionalCount(maxBytes)
        self.maxNodes = OptionalCount(maxNodes)
        self.usedBytes = usedBytes
        self.usedNodes = usedNodes
    }

    enum CodingKeys: String, CodingKey {
        case user
        case maxBytes = "max_bytes"
        case maxNodes = "max_nodes"
        case usedBytes = "used_bytes"
        case usedNodes = "used_nodes"
    }
}

extension Endpoint {
    static let usersPath = "/v1/users"

    /// What concerns the limit of one user: `/v1/users/UID`. `/v1/quotas` lists them.
    static func users(_ keeper: any QuotaKeeper) -> [Endpoint] {
        [
            Endpoint("GET", "\(usersPath)/", for: .anyone) { (request) throws(ControlRefusal) in
                let user = try user(request)
                guard request.peer.isTrusted || request.peer.user == user else {
                    throw ControlRefusal(
                        .denied, "permission denied: only root, the mount's owner and the user himself")
                }
                return .json(try keeper.quota(ofUser: user))
            },
            Endpoint("PUT", "\(usersPath)/", for: .trusted, takesLong: true) {
                (request) throws(ControlRefusal) in
                let change = try request.json(QuotaChangeRequest.self)
                return .json(try keeper.set(change, ofUser: try user(request)))
            },
            Endpoint("DELETE", "\(usersPath)/", for: .trusted, takesLong: true) {
                (request) throws(ControlRefusal) in
                .json(try keeper.remove(ofUser: try user(request)))
            },
        ]
    }

    private static func user(_ request: ControlRequest) throws(ControlRefusal) -> UInt32 {
        guard let user = UInt32(request.rest), user != .max else {
            throw ControlRefusal(.malformed, "the user in the path is not a number below 4294967295")
        }
        return user
    }
}

extension Client {
    public static func quota(
        ofUser user: UInt32, on mount: MountEntry
    ) throws(ControlError) -> Result<UserQuotaStatus, ControlRefusal> {
        try decoded(UserQuotaStatus.self, try ask(Wire.question(path(ofUser: user)), of: mount))
    }

    public static func setQuota(
        _ request: QuotaChangeRequest, ofUser user: UInt32, on mount: MountEntry
    ) throws(ControlError) -> Result<UserQuotaStatus, ControlRefusal> {
        let question = Wire.question(path(ofUser: user), putting: try JSON.encode(request))
        return try decoded(
            UserQuotaStatus.self, try ask(question, of: mount, patience: quotaPatienceSeconds))
    }

    public static func removeQuota(
        ofUser user: UInt32, on mount: MountEntry
    ) throws(ControlError) -> Result<UserQuotaStatus, ControlRefusal> {
        let question = Wire.question(path(ofUser: user), method: "DELETE")
        return try decoded(
            UserQuotaStatus.self, try ask(question, of: mount, patience: quotaPatienceSeconds))
    }

    private static func path(ofUser user: UInt32) -> String { "\(Endpoint.usersPath)/\(user)" }
}
