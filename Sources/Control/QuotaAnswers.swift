import Basics

/// The part of the server that answers `/v1/quotas` and `/v1/quotas/DIRECTORY`.
struct QuotaAnswers: Sendable {
    static let path = "/v1/quotas"
    private let keeper: any QuotaKeeper

    init(from keeper: any QuotaKeeper) {
        self.keeper = keeper
    }

    static func isMeant(by request: Wire.Request) -> Bool {
        request.path == path || request.path.hasPrefix("\(path)/")
    }

    /// Whether the answer may take so long, or be so large, that it needs a thread of its own.
    static func takesLong(_ request: Wire.Request) -> Bool {
        request.method != "GET" || request.path == path
    }

    func answer(_ request: Wire.Request, to peer: Peer) -> [UInt8] {
        do throws(ControlError) {
            do throws(ControlRefusal) {
                return try answerKnown(request, to: peer)
            } catch {
                return try Wire.refusal(error)
            }
        } catch {
            return Wire.refusal("500 Internal Server Error")
        }
    }

    private func answerKnown(
        _ request: Wire.Request, to peer: Peer
    ) throws(ControlRefusal) -> [UInt8] {
        guard peer.isTrusted || !Self.takesLong(request) else {
            throw ControlRefusal(.denied, "permission denied: only root and the mount's owner")
        }
        if request.path == Self.path {
            guard request.method == "GET" else { return Wire.refusal("405 Method Not Allowed") }
            return Self.encoded(keeper.list())
        }
        guard let directory = MountPath(encoded: request.path.dropFirst(Self.path.count + 1)) else {
            throw ControlRefusal(.malformed, "the path of the directory is not percent-encoded")
        }
        switch request.method {
        case "GET": return Self.encoded(try keeper.quota(of: directory, for: peer))
        case "DELETE": return Self.encoded(try keeper.remove(from: directory))
        case "PUT":
            guard let body = request.body else { return Wire.refusal("413 Content Too Large") }
            return Self.encoded(try keeper.set(try Self.change(in: body), on: directory))
        default: return Wire.refusal("405 Method Not Allowed")
        }
    }

    private static func change(in body: [UInt8]) throws(ControlRefusal) -> QuotaChangeRequest {
        do throws(ControlError) {
            return try JSON.decode(QuotaChangeRequest.self, from: body)
        } catch {
            throw ControlRefusal(.malformed, "the body is not JSON as /v1/quotas takes it")
        }
    }

    private static func encoded(_ value: some Encodable) -> [UInt8] {
        do throws(ControlError) {
            return Wire.answer("200 OK", try JSON.encode(value))
        } catch {
            return Wire.refusal("500 Internal Server Error")
        }
    }
}

extension Client {
    /// Counting what is in a directory takes about a second for a million nodes.
    private static let patienceSeconds: Int32 = 600
    /// Room for a hundred thousand quotas.
    private static let listLimitBytes = 64 << 20

    public static func quotas(of mount: MountEntry) throws(ControlError) -> Result<QuotaList, ControlRefusal>
    {
        let question = Wire.question(QuotaAnswers.path)
        let answer = try ask(question, of: mount, patience: patienceSeconds, upTo: listLimitBytes)
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
        return try decoded(QuotaStatus.self, try ask(question, of: mount, patience: patienceSeconds))
    }

    public static func removeQuota(
        of directory: MountPath, on mount: MountEntry
    ) throws(ControlError) -> Result<QuotaStatus, ControlRefusal> {
        let question = Wire.question(path(of: directory), method: "DELETE")
        return try decoded(QuotaStatus.self, try ask(question, of: mount, patience: patienceSeconds))
    }

    private static func path(of directory: MountPath) -> String {
        "\(QuotaAnswers.path)/\(directory.encoded)"
    }
}
