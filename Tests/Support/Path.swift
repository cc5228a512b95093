/// The path of a file as the kernel takes it: bytes, in no encoding.
package struct Path: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) {
        precondition(!bytes.contains(0), "a path holds no NUL")
        self.bytes = bytes
    }

    package init(_ text: String) {
        self.init(bytes: Array(text.utf8))
    }

    package init(stringLiteral text: String) {
        self.init(text)
    }

    package static func / (directory: Path, name: String) -> Path {
        directory / Array(name.utf8)
    }

    package static func / (directory: Path, name: [UInt8]) -> Path {
        Path(bytes: directory.bytes + [UInt8(ascii: "/")] + name)
    }

    package var description: String { String(decoding: bytes, as: UTF8.self) }

    /// Lends the path with a NUL behind it.
    package func withPointer<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
        return try unsafe terminated.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { preconditionFailure("a path has at least its NUL") }
            return try unsafe body(start)
        }
    }
}
