import Basics

extension Endpoint {
    static let refusalsPath = "/v1/refusals"
    /// Of an answer: with as many connections as there may be, it is 8 MiB that wait to be read.
    private static let refusalsLimitBytes = 256 << 10

    /// The last refusals: `?last=N` for N of them at the most.
    public static func refusals(_ keeper: any RefusalKeeper) -> Endpoint {
        Endpoint("GET", refusalsPath, for: .anyone, reach: .page) { (request) throws(ControlRefusal) in
            let last = try request.number("last", upTo: .max) ?? .max
            var refusals = keeper.refusals(for: request.peer).suffix(last)
            while true {
                let reply = Reply.json(RefusalList(refusals: Array(refusals)))
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
