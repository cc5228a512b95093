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
    @unsafe public borrowing func withVectors<Result>(_ body: (UnsafeBufferPointer<iovec>) -> Result) -> Result {
        unsafe body(vectors)
    }

    /// A copy of the bytes, for tests and small answers.
    public borrowing func copied() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        for unsafe vector in unsafe vectors {
            unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len))
        }
        return bytes
    }
}
