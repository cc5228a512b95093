/// Finds who answers a request, and checks what is the same for all.
struct Router: Sendable {
    private let endpoints: [Endpoint]
    /// Whether the page and what it needs are shown beyond the socket, too.
    private let showsPage: Bool
    /// Whether only this machine can ask beyond the socket.
    private let isLoopback: Bool

    init(_ endpoints: [Endpoint], showingPage: Bool = false, onLoopback: Bool = true) {
        self.endpoints = endpoints
        showsPage = showingPage
        isLoopback = onLoopback
    }

    /// What a request comes to.
    struct Route {
        let endpoint: Endpoint
        let request: ControlRequest

        func reply() -> Reply {
            do throws(ControlRefusal) {
                return try endpoint.answer(request)
            } catch {
                return .refusal(error)
            }
        }
    }

    /// Nothing to route: this is the answer.
    struct Unrouted: Error {
        let reply: Reply

        init(_ status: String) { reply = .error(status) }

        init(_ refusal: ControlRefusal) { reply = .refusal(refusal) }
    }

    /// - Parameter peer: nil for one who asks over a network, of whom nothing is known.
    func route(_ request: Wire.Request, by peer: Peer?) throws(Unrouted) -> Route {
        guard !request.method.isEmpty else { throw Unrouted("400 Bad Request") }
        if peer == nil, isLoopback, !Self.isLocal(host: request.host) {
            // A page from elsewhere whose name was made to lead here must not read what we tell.
            throw Unrouted("421 Misdirected Request")
        }
        let there = endpoints.filter { $0.isAt(request.path) && (peer != nil || isShown($0)) }
        guard !there.isEmpty else { throw Unrouted("404 Not Found") }
        guard let endpoint = there.first(where: { $0.method == request.method }) else {
            throw Unrouted("405 Method Not Allowed")
        }
        let peer = peer ?? Peer.unknown
        guard endpoint.access == .anyone || peer.isTrusted else {
            throw Unrouted(.stranger)
        }
        guard let body = request.body else { throw Unrouted("413 Content Too Large") }
        guard let query = Self.query(request.query) else {
            throw Unrouted(ControlRefusal(.malformed, "the query is not percent-encoded"))
        }
        return Route(
            endpoint: endpoint,
            request: ControlRequest(
                peer: peer, rest: String(request.path.dropFirst(endpoint.path.count)), query: query,
                body: body, accepts: request.accepts))
    }

    private func isShown(_ endpoint: Endpoint) -> Bool {
        endpoint.reach == .network || endpoint.reach == .page && showsPage
    }

    /// Whether a name in a request's `Host` can mean only this machine, whoever resolves it.
    private static func isLocal(host: String) -> Bool {
        let isBracketed = host.hasPrefix("[")
        let name = isBracketed ? host.prefix { $0 != "]" }.dropFirst() : host.prefix { $0 != ":" }
        return name.isEmpty || name == "localhost" || name == "::1" || name.hasPrefix("127.")
    }

    private static func query(_ text: String) -> [String: String]? {
        var query: [String: String] = [:]
        for part in text.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let words = pair.map { $0.replacing("+", with: "%20") }.map(PercentCode.decoded)
            guard let name = words.first ?? nil else { return nil }
            guard words.count == 2 else {
                query[String(decoding: name, as: UTF8.self)] = ""
                continue
            }
            guard let value = words[1] else { return nil }
            query[String(decoding: name, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
        }
        return query
    }
}

/// The percent sign and two digits that stand for a byte in a URL.
enum PercentCode {
    /// nil where a percent sign has no two digits behind it.
    static func decoded(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}
