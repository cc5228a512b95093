import Basics

/// The part of the server that answers `/v1/refusals` and `/v1/refusals?last=N`.
struct RefusalAnswers: Sendable {
    static let path = "/v1/refusals"
    private static let query = "\(path)?last="
    /// What fits into the socket's buffer, so that nobody need wait for who reads it.
    private static let answerLimitBytes = 96 << 10
    private let keeper: any RefusalKeeper

    init(from keeper: any RefusalKeeper) {
        self.keeper = keeper
    }

    static func isMeant(by request: Wire.Request) -> Bool {
        request.path == path || request.path.hasPrefix(query)
    }

    func answer(_ request: Wire.Request, to peer: Peer) -> [UInt8] {
        guard request.method == "GET" else { return Wire.refusal("405 Method Not Allowed") }
        var wanted = Int.max
        if request.path != Self.path {
            guard let last = Int(request.path.dropFirst(Self.query.count)), last > 0 else {
                return Wire.refusal("400 Bad Request")
            }
            wanted = last
        }
        do throws(ControlError) {
            var refusals = keeper.refusals(for: peer).suffix(wanted)
            while true {
                let body = try JSON.encodeLine(RefusalList(refusals: Array(refusals)))
                if body.count <= Self.answerLimitBytes { return Wire.answer("200 OK", body) }
                // The newest matter most.
                refusals = refusals.dropFirst(max(1, refusals.count / 4))
            }
        } catch {
            return Wire.refusal("500 Internal Server Error")
        }
    }
}

extension Client {
    /// The last refusals of the mount that this user may see, `last` at the most.
    public static func refusals(of mount: MountEntry, last: Int) throws(ControlError) -> RefusalList {
        let answer = try ask(Wire.question("\(RefusalAnswers.path)?last=\(last)"), of: mount)
        return try JSON.decode(RefusalList.self, from: try Wire.body(of: answer))
    }
}
