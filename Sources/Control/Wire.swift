import FoundationEssentials

/// Why a daemon could not be asked, or did not answer as it should.
public struct ControlError: Error, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

/// The language of the control socket: HTTP/1.1, one request a connection, JSON inside.
enum Wire {
    /// The longest head of a request that is read; more is answered with 431.
    static let headLimitBytes = 8 << 10
    /// The longest answer that a client reads.
    static let answerLimitBytes = 1 << 20

    /// The longest body of a request that is read; more is answered with 413.
    static let bodyLimitBytes = 4 << 10

    struct Request: Equatable {
        /// Empty where the first line is no request's.
        var method = ""
        var path = ""
        /// What is behind the path's question mark.
        var query = ""
        /// The headers of these names, empty where there is none.
        var host = ""
        var accepts = ""
        /// nil where it is longer than is read.
        var body: [UInt8]? = []
    }

    /// A request that is complete; nil as long as it is not.
    ///
    /// A body has a length before it: what comes in chunks is as if it had no body.
    static func request(in bytes: [UInt8]) -> Request? {
        guard let end = endOfHead(in: bytes) else { return nil }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(whereSeparator: \.isNewline)
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else { return Request() }
        let target = words[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var request = Request(method: String(words[0]), path: String(target.first ?? ""))
        request.query = target.count == 2 ? String(target[1]) : ""
        request.host = values(of: "host", in: lines).first.map { String($0) } ?? ""
        request.accepts = values(of: "accept", in: lines).joined(separator: ",")
        let lengths = Set(values(of: "content-length", in: lines))
        guard lengths.count <= 1 else { return Request() }
        let length = lengths.first.map(number) ?? 0
        guard length <= bodyLimitBytes else {
            request.body = nil
            return request
        }
        guard bytes.count - end >= length else { return nil }
        request.body = Array(bytes[end..<end + length])
        return request
    }

    /// Whether `bytes` begin with a head that is longer than is read.
    static func hasOverlongHead(_ bytes: [UInt8]) -> Bool {
        bytes.count >= headLimitBytes && endOfHead(in: bytes) == nil
    }

    /// What the lines of a head say of the header `name`.
    private static func values(of name: String, in lines: [Substring]) -> [Substring] {
        lines.dropFirst().compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == name else { return nil }
            return parts[1].drop { $0 == " " }
        }
    }

    /// What is no number is too long.
    private static func number(_ digits: Substring) -> Int {
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return .max }
        return Int(digits) ?? .max
    }

    static func question(
        _ path: String, method: String? = nil, putting body: [UInt8]? = nil,
        accepting type: String = "application/json"
    ) -> [UInt8] {
        let method = method ?? (body == nil ? "GET" : "PUT")
        let length = body.map { "Content-Type: application/json\r\nContent-Length: \($0.count)\r\n" } ?? ""
        let first = "\(method) \(path) HTTP/1.1\r\nHost: dmemfs\r\nAccept: \(type)\r\n"
        return Array("\(first)\(length)Connection: close\r\n\r\n".utf8) + (body ?? [])
    }

    /// - Parameter isWhole: whether the body is all that there is, and not only the beginning.
    static func answer(_ reply: Reply, isWhole: Bool = true) -> [UInt8] {
        let length = isWhole ? ["Content-Length: \(reply.body.count)"] : []
        let lines =
            ["HTTP/1.1 \(reply.status)", "Content-Type: \(reply.type)"] + reply.headers + length
            + ["Cache-Control: no-store", "Connection: close"]
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + reply.body
    }

    /// The body of a no: `{"error": …}`.
    struct Explanation: Codable {
        let error: String
    }

    /// The body of a whole answer to what may be refused.
    static func outcome(of answer: [UInt8]) throws(ControlError) -> Result<[UInt8], ControlRefusal> {
        let end = endOfHead(in: answer) ?? 0
        let status = status(of: answer)
        guard let cause = ControlRefusal.Cause.allCases.first(where: { $0.status.prefix(3) == status ?? "" })
        else { return .success(try body(of: answer)) }
        let explanation = try JSON.decode(Explanation.self, from: Array(answer[end...]))
        return .failure(ControlRefusal(cause, explanation.error))
    }

    /// The body of a whole answer, where its status is 200.
    static func body(of answer: [UInt8]) throws(ControlError) -> [UInt8] {
        guard let end = endOfHead(in: answer) else { throw ControlError("the daemon's answer is cut short") }
        let status = status(of: answer)
        guard status == "200" else {
            throw ControlError("the daemon refused the question: HTTP status \(status ?? "missing")")
        }
        return Array(answer[end...])
    }

    /// The number of HTTP's in the first line of an answer; nil where it has none.
    static func status(of answer: [UInt8]) -> String? {
        let end = endOfHead(in: answer) ?? 0
        let words = String(decoding: answer[..<end], as: UTF8.self).split(separator: " ")
        return words.dropFirst().first.map { String($0) }
    }

    /// Where the empty line that ends a head ends. A client that ends its lines with a bare newline is
    /// understood.
    static func endOfHead(in bytes: [UInt8]) -> Int? {
        var lineIsEmpty = false
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") {
                if lineIsEmpty { return index + 1 }
                lineIsEmpty = true
            } else if byte != UInt8(ascii: "\r") {
                lineIsEmpty = false
            }
        }
        return nil
    }
}

/// JSON as this program writes it: sorted keys, one value a line, an end of line at the end.
public enum JSON {
    public static func encode(_ value: some Encodable) throws(ControlError) -> [UInt8] {
        try encode(value, .prettyPrinted)
    }

    /// The same in one line.
    public static func encodeLine(_ value: some Encodable) throws(ControlError) -> [UInt8] {
        try encode(value, [])
    }

    private static func encode(
        _ value: some Encodable, _ layout: JSONEncoder.OutputFormatting
    ) throws(ControlError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = layout.union([.sortedKeys, .withoutEscapingSlashes])
        do {
            return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
        } catch {
            throw ControlError("cannot write JSON: \(error)")
        }
    }

    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws(ControlError)
        -> Value
    {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw ControlError("cannot read the daemon's answer: \(error)")
        }
    }
}
