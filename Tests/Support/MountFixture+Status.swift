import Basics
import Glibc

extension MountFixture {
    /// The numbers of `dmemfs status --json`, by their names. Names inside of objects stand as they are.
    package struct Status: Sendable, CustomStringConvertible {
        private let text: String

        fileprivate init(_ text: String) { self.text = text }

        /// A number, or nil where the name is missing or its value is none.
        package subscript(name: String) -> Int? {
            let bytes = Array(text.utf8)
            let key = Array("\"\(name)\"".utf8)
            guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: key) }) else {
                return nil
            }
            let rest = bytes[(start + key.count)...].drop { $0 == 0x20 || $0 == 0x3a || $0 == 0x0a }
            let digits = rest.prefix { $0 == 0x2d || ($0 >= 0x30 && $0 <= 0x39) }
            return Int(String(decoding: digits, as: UTF8.self))
        }

        package func number(_ name: String) throws -> Int {
            guard let value = self[name] else { throw Failure(description: "no number \(name) in \(text)") }
            return value
        }

        /// A number of the object `refusals`.
        package func refusals(_ name: String) throws -> Int {
            guard let object = text.firstRange(of: "\"refusals\"") else {
                throw Failure(description: "no refusals in \(text)")
            }
            return try Status(String(text[object.upperBound...])).number(name)
        }

        package var description: String { text }
    }

    package func status() throws -> Status {
        let result = try Program.run([Self.program(), "status", "--json", "\(path)"], in: "/", seconds: 20)
        if result.status != 0 { throw Failure(description: "status: \(result.status): \(result.output)") }
        return Status(result.output)
    }

    package func usedBytes() throws -> Int {
        try status().number("used_bytes")
    }

    /// Asks for the usage until it is `wanted`, for at most three seconds: the kernel's last forgets come
    /// late. Returns what it is in the end.
    package func settledUsage(_ wanted: Int) throws -> Int {
        try Patience.settled(at: wanted) { try usedBytes() }
    }
}
