public import Glibc

/// A borrowed list of byte ranges that together are one answer: what a read found, in order.
///
/// Valid only inside the call that lends it; the memory belongs to a file whose lock is held for as long.
@safe public struct Segments: ~Copyable {
    private let vectors: UnsafeBufferPointer<iovec>
    /// How many bytes the segments hold together.
    public let byteCount: Int

    @unsafe public init(_ vectors: UnsafeBufferPointer<iovec>, byteCount: Int) {
        unsafe self.vectors = unsafe vectors
        self.byteCount = byteCount
    }

    /// Lends the list as the vectors that writev(2) takes.
    @unsafe public borrowing func withVectors<Result>(_ body: (UnsafeBufferPointer<iovec>) -> Result)
        -> Result
    {
        unsafe body(vectors)
    }

    /// A copy of the bytes, for tests and small answers.
    public borrowing func copied() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        for index in unsafe vectors.indices {
            let vector = unsafe vectors[index]
            unsafe bytes.append(
                contentsOf: UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len))
        }
        return bytes
    }
}

extension Array where Element == UInt8 {
    /// Lends the bytes as a raw span, which a caller without unsafe code cannot make itself.
    @inlinable
    public func withRawSpan<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe span.bytes)
    }
}

extension RawSpan {
    @inlinable
    public func byte(at offset: Int) -> UInt8 {
        precondition(offset >= 0 && offset < byteCount)
        return unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    public func hasPrefix(_ prefix: StaticString) -> Bool {
        guard byteCount >= prefix.utf8CodeUnitCount else { return false }
        for offset in 0..<prefix.utf8CodeUnitCount where unsafe byte(at: offset) != prefix.utf8Start[offset] {
            return false
        }
        return true
    }
}
