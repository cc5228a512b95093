import Basics

extension Endpoint {
    static let quotasPath = "/v1/quotas"

    /// What concerns quotas: `/v1/quotas`, `/v1/quotas/DIRECTORY` and `/v1/users/UID`.
    public static func quotas(_ keeper: any QuotaKeeper) -> [Endpoint] {
        [
            Endpoint("GET", quotasPath, for: .trusted, takesLong: true) { _ in .json(keeper.list()) },
            Endpoint("GET", "\(quotasPath)/", for: .anyone) { (request) throws(ControlRefusal) in
                .json(try keeper.quota(of: try directory(request), for: request.peer))
            },
            Endpoint("PUT", "\(quotasPath)/", for: .trusted, takesLong: true) {
                (request) throws(ControlRefusal) in
                let change = try request.json(QuotaChangeRequest.self)
                return .json(try keeper.set(change, on: try directory(request)))
            },
            Endpoint("DELETE", "\(quotasPath)/", for: .trusted, takesLong: true) {
                (request) throws(ControlRefusal) in
                .json(try keeper.remove(from: try directory(request)))
            },
        ] + users(keeper)
    }

    private static func directory(_ request: ControlRequest) throws(ControlRefusal) -> MountPath {
        guard let directory = MountPath(encoded: request.rest) else {
            throw ControlRefusal(.malformed, "the path of the directory is not percent-encoded")
        }
        return directory
    }
}

extension Client {
    /// Counting what is in a directory, or a user owns, takes about a second for a million nodes.
    static let quotaPatienceSeconds: Int32 = 600
    /// Room for a hundred thousand quotas.
    private static let listLimitBytes = 64 << 20

    public static func quotas(of mount: MountEntry) throws(ControlError) -> Result<QuotaList, ControlRefusal>
    {
        let question = Wire.question(Endpoint.quotasPath)
        let answer = try ask(question, of: mount, patience: quotaPatienceSeconds, upTo: listLimitBytes)
        return try decoded(QuotaList.self, answer)
    }

    public static func quota(
        of directory: MountPath, on mount: MountEntry
    ) throws(ControlError) -> Result<QuotaStatus, ControlRefusal> {
        let answer = try ask(Wire.question(path(of: directory)), of: mount)
        return try decoded(QuotaStatus.self, answer)
    }

    public static func setQuota(
        _ request: QuotaChangeRequest, of directory: MountPath, on mount: MountEntry
    ) throws(ControlError) -> Result<QuotaStatus, ControlRefusal> {
        let question = Wire.question(path(of: directory), putting: try JSON.encode(request))
        return try decoded(QuotaStatus.self, try ask(question, of: mount, patience: quotaPatienceSeconds))
    }

    public static func removeQuota(
        of directory: MountPath, on mount: MountEntry
    ) throws(ControlError) -> Result<QuotaStatus, ControlRefusal> {
        let question = Wire.question(path(of: directory), method: "DELETE")
        return try decoded(QuotaStatus.self, try ask(question, of: mount, patience: quotaPatienceSeconds))
    }

    private static func path(of directory: MountPath) -> String {
        "\(Endpoint.quotasPath)/\(directory.encoded)"
    }
}
