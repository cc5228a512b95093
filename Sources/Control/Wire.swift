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

    /// The method and path of a request whose head is complete; nil as long as it is not.
    static func request(in bytes: [UInt8]) -> (method: String, path: String)? {
        guard endOfHead(in: bytes) != nil else { return nil }
        let line = bytes.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
        let words = String(decoding: line, as: UTF8.self).split(separator: " ")
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else { return ("", "") }
        return (String(words[0]), String(words[1]))
    }

    static func question(_ path: String) -> [UInt8] {
        Array("GET \(path) HTTP/1.1\r\nHost: dmemfs\r\nConnection: close\r\n\r\n".utf8)
    }

    static func answer(_ status: String, _ body: [UInt8]) -> [UInt8] {
        let head = """
            HTTP/1.1 \(status)\r
            Content-Type: application/json\r
            Content-Length: \(body.count)\r
            Connection: close\r
            \r

            """
        return Array(head.utf8) + body
    }

    static func refusal(_ status: String) -> [UInt8] {
        answer(status, Array("{\"error\":\"\(status)\"}\n".utf8))
    }

    /// The body of a whole answer, where its status is 200.
    static func body(of answer: [UInt8]) throws(ControlError) -> [UInt8] {
        guard let end = endOfHead(in: answer) else { throw ControlError("the daemon's answer is cut short") }
        let head = String(decoding: answer[..<end], as: UTF8.self)
        let status = head.split(separator: " ").dropFirst().first
        guard status == "200" else {
            throw ControlError("the daemon refused the question: HTTP status \(status ?? "missing")")
        }
        return Array(answer[end...])
    }

    /// Where the empty line that ends a head ends. A client that ends its lines with a bare newline is
    /// understood.
    private static func endOfHead(in bytes: [UInt8]) -> Int? {
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
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
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
