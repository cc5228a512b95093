/// One thing that a mount's server answers: a method, a path, who may ask, and what makes the answer.
///
/// A part of the program adds what it answers by handing one more of these to `Server`; the server finds the
/// one that is meant, checks who asks, and bounds the request.
public struct Endpoint: Sendable {
    public enum Access: Hashable, Sendable {
        case anyone
        /// Root and the mount's owner.
        case trusted
    }

    /// Where it answers: on the socket always, and beyond that only what changes nothing.
    public enum Reach: Hashable, Sendable, CaseIterable {
        case socket
        /// Also on a network address, where the page was asked for.
        case page
        /// Also on a network address.
        case network
    }

    /// Hands pieces of the answer to `send` until there are no more, or it returns false. `send` may wait for
    /// who reads.
    public typealias Stream = @Sendable (_ request: ControlRequest, _ send: ([UInt8]) -> Bool) -> Void

    /// Has the connection to itself until it returns. Refuses nothing once it has begun to answer.
    public typealias Talk =
        @Sendable (_ request: ControlRequest, _ conversation: Conversation) throws(ControlRefusal) -> Void

    public typealias Answer = @Sendable (ControlRequest) throws(ControlRefusal) -> Reply

    public let method: String
    /// One path; with a slash at its end everything below it, which `ControlRequest.rest` then names.
    public let path: String
    public let access: Access
    public let reach: Reach
    /// Whether making the answer may take longer than others should wait. It then has a thread of its own,
    /// which only trusted peers can have.
    public let takesLong: Bool
    let answer: Answer
    /// Answers a piece at a time, in the place of `answer`; nil for all in one.
    private(set) var stream: Stream?
    /// The same where the peer may have something to say, too.
    private(set) var talk: Talk?

    public init(
        _ method: String, _ path: String, for access: Access, reach: Reach = .socket, takesLong: Bool = false,
        _ answer: @escaping Answer
    ) {
        precondition(reach == .socket || access == .anyone && !takesLong && method == "GET")
        precondition(!takesLong || access == .trusted)
        self.method = method
        self.path = path
        self.access = access
        self.reach = reach
        self.takesLong = takesLong
        self.answer = answer
    }

    /// A GET for trusted peers whose answer is made while it is sent, so that its length costs no memory.
    ///
    /// - Parameter type: of what `stream` sends, which ends with the connection.
    public init(streaming path: String, _ type: String, _ stream: @escaping Stream) {
        self.init("GET", path, for: .trusted, takesLong: true) { _ in Reply(type, []) }
        self.stream = stream
    }

    /// A POST for trusted peers whose connection stays for as long as what it asks for lasts.
    public init(conversing path: String, _ talk: @escaping Talk) {
        self.init("POST", path, for: .trusted, takesLong: true) { _ in Reply("", []) }
        self.talk = talk
    }

    func isAt(_ asked: String) -> Bool {
        path.hasSuffix("/") && path != "/" ? asked.hasPrefix(path) : asked == path
    }
}

/// A request that its endpoint answers.
public struct ControlRequest: Sendable {
    public let peer: Peer
    /// What follows the endpoint's path, percent-encoded as it came.
    public let rest: String
    /// The words behind the question mark, decoded.
    public let query: [String: String]
    public let body: [UInt8]
    /// The media types that the client would rather have; empty where it does not say.
    public let accepts: String

    /// The body as JSON of the documented form.
    public func json<Value: Decodable>(_ type: Value.Type) throws(ControlRefusal) -> Value {
        do throws(ControlError) {
            return try JSON.decode(type, from: body)
        } catch {
            throw ControlRefusal(.malformed, "the body is not JSON of the documented form")
        }
    }

    /// A number in the query, at most `most`; nil where there is none.
    public func number(_ name: String, upTo most: Int) throws(ControlRefusal) -> Int? {
        guard let text = query[name] else { return nil }
        guard let number = Int(text), number >= 0 else {
            throw ControlRefusal(.malformed, "\(name)=\(text) is not a number from 0 on")
        }
        return min(number, most)
    }
}

/// What a request is answered with.
public struct Reply: Hashable, Sendable {
    public let status: String
    public let type: String
    public let body: [UInt8]
    /// Further lines of the head.
    public let headers: [String]

    public init(_ type: String, _ body: [UInt8], status: String = "200 OK", headers: [String] = []) {
        self.status = status
        self.type = type
        self.body = body
        self.headers = headers
    }

    public static func json(_ value: some Encodable, status: String = "200 OK") -> Reply {
        do throws(ControlError) {
            return Reply("application/json", try JSON.encode(value), status: status)
        } catch {
            return .error("500 Internal Server Error")
        }
    }

    /// The same in one line.
    static func jsonLine(_ value: some Encodable) -> Reply {
        do throws(ControlError) {
            return Reply("application/json", try JSON.encodeLine(value))
        } catch {
            return .error("500 Internal Server Error")
        }
    }

    /// A no whose status says it all.
    static func error(_ status: String) -> Reply {
        Reply("application/json", Array("{\"error\":\"\(status)\"}\n".utf8), status: status)
    }

    /// A no that says why: `{"error": …}`.
    static func refusal(_ refusal: ControlRefusal) -> Reply {
        json(Wire.Explanation(error: refusal.description), status: refusal.cause.status)
    }
}

extension Endpoint {
    public static func status(_ status: @escaping @Sendable () -> Status) -> Endpoint {
        Endpoint("GET", "/v1/status", for: .anyone, reach: .page) { _ in .json(status()) }
    }

    /// Changes the limits.
    public static func limits(
        _ change: @escaping @Sendable (LimitsRequest) throws(ControlRefusal) -> LimitsAnswer
    ) -> Endpoint {
        Endpoint("PUT", "/v1/limits", for: .trusted) { (request) throws(ControlRefusal) in
            .json(try change(try request.json(LimitsRequest.self)))
        }
    }

    /// Reads the configuration anew.
    public static func reload(
        _ reload: @escaping @Sendable () throws(ControlRefusal) -> LimitsAnswer
    ) -> Endpoint {
        Endpoint("PUT", "/v1/reload", for: .trusted) { (_) throws(ControlRefusal) in .json(try reload()) }
    }
}
