import Basics

extension Endpoint {
    static let refusalsPath = "/v1/refusals"
    /// What a reader is sure to take in time.
    private static let refusalsLimitBytes = 96 << 10

    /// The last refusals: `/v1/refusals` and `/v1/refusals?last=N`.
    public static func refusals(_ keeper: any RefusalKeeper) -> Endpoint {
        Endpoint("GET", refusalsPath, for: .anyone, reach: .page) { (request) throws(ControlRefusal) in
            let last = try request.number("last", upTo: .max)
            guard last != 0 else { throw ControlRefusal(.malformed, "last=0 is no number above 0") }
            var refusals = keeper.refusals(for: request.peer).suffix(last ?? .max)
            while true {
                let reply = Reply.jsonLine(RefusalList(refusals: Array(refusals)))
                if reply.body.count <= refusalsLimitBytes { return reply }
                // The newest matter most.
                refusals = refusals.dropFirst(max(1, refusals.count / 4))
            }
        }
    }
}

extension Client {
    /// The last refusals of the mount that this user may see, `last` at the most.
    public static func refusals(of mount: MountEntry, last: Int) throws(ControlError) -> RefusalList {
        let answer = try ask(Wire.question("\(Endpoint.refusalsPath)?last=\(last)"), of: mount)
        return try JSON.decode(RefusalList.self, from: try Wire.body(of: answer))
    }
}
