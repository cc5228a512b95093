import Basics
import Fuse
import Serving
import Support
import Tree

/// The tree behind libfuse: each operation is a request frame that libfuse reads and answers, on this thread
/// and without a kernel.
///
/// A class, as a copy of it would copy the frames.
///
/// What is not measured: the kernel's part, which is most of a round trip, and the workers that wait for it.
/// What is measured beside libfuse and the callbacks: some bytes of the frame are put together for each
/// request, and the answer is copied, as the kernel would copy it.
final class LoopbackSubject: Subject {
    private let loopback: Loopback
    /// The request, with its payload and the room behind it that libfuse asks for.
    private var frame = [UInt8](repeating: 0, count: largestPieceBytes + 4096)
    private var reply = [UInt8](repeating: 0, count: largestPieceBytes + 4096)
    private var replyBytes = 0

    private static let headerBytes = 40
    private static let answerHeaderBytes = 16

    init(_ tree: Tree) throws(SessionError) {
        loopback = try Loopback.initialized(serving: TreeServer(tree))
    }

    func lookup(_ name: RawSpan, in folder: NodeID) throws(Errno) -> NodeID {
        try send(.lookup, to: folder, bodyBytes: put(name, at: 0))
        return try entry()
    }

    func forget(_ node: NodeID) {
        put(UInt64(1), at: 0)
        // It has no answer, and cannot fail.
        _ = exchange(.forget, node, bodyBytes: 8)
    }

    func attributes(of node: NodeID) throws(Errno) {
        for word in 0..<2 { put(UInt64(0), at: word * 8) }
        try send(.getattr, to: node, bodyBytes: 16)
    }

    func create(_ name: RawSpan, in folder: NodeID) throws(Errno) -> NodeID {
        put(UInt32(0o2), at: 0)
        put(UInt32(0o100644), at: 4)
        put(UInt64(0o022), at: 8)
        try send(.create, to: folder, bodyBytes: put(name, at: 16))
        return try entry()
    }

    func write(_ count: Int, to node: NodeID, at offset: Int) throws(Errno) {
        putRange(count, at: offset)
        try send(.write, to: node, bodyBytes: 40 + count)
    }

    func read(_ count: Int, of node: NodeID, at offset: Int) throws(Errno) {
        putRange(count, at: offset)
        try send(.read, to: node, bodyBytes: 40)
        guard replyBytes == Self.answerHeaderBytes + count else { throw .ioError }
    }

    func rename(_ name: RawSpan, in folder: NodeID, to newName: RawSpan) throws(Errno) {
        put(folder.rawValue, at: 0)
        put(UInt64(0), at: 8)
        let end = put(name, at: 16)
        try send(.rename2, to: folder, bodyBytes: put(newName, at: end))
    }

    func unlink(_ name: RawSpan, in folder: NodeID) throws(Errno) {
        try send(.unlink, to: folder, bodyBytes: put(name, at: 0))
    }

    // MARK: Frames

    /// The body that READ and WRITE have: a handle, a range, and flags.
    private func putRange(_ count: Int, at offset: Int) {
        put(UInt64(0), at: 0)
        put(UInt64(offset), at: 8)
        put(UInt64(count), at: 16)
        put(UInt64(0), at: 24)
        put(UInt64(0), at: 32)
    }

    private func put(_ value: some FixedWidthInteger, at offset: Int) {
        putInFrame(value, at: Self.headerBytes + offset)
    }

    private func putInFrame(_ value: some FixedWidthInteger, at start: Int) {
        for byte in 0..<value.bitWidth / 8 {
            frame[start + byte] = UInt8(truncatingIfNeeded: value >> (byte * 8))
        }
    }

    /// Puts a name and its NUL into the body and returns where they end.
    private func put(_ name: RawSpan, at offset: Int) -> Int {
        let start = Self.headerBytes + offset
        for index in 0..<name.byteCount { frame[start + index] = name.byte(at: index) }
        frame[start + name.byteCount] = 0
        return offset + name.byteCount + 1
    }

    private func send(_ opcode: Opcode, to node: NodeID, bodyBytes: Int) throws(Errno) {
        let error = exchange(opcode, node, bodyBytes: bodyBytes)
        if error != 0 { throw Errno(rawValue: -error) }
    }

    private func exchange(_ opcode: Opcode, _ node: NodeID, bodyBytes: Int) -> Int32 {
        let count = Self.headerBytes + bodyBytes
        putInFrame(UInt32(count), at: 0)
        putInFrame(opcode.rawValue, at: 4)
        putInFrame(UInt64(2), at: 8)
        putInFrame(node.rawValue, at: 16)
        replyBytes = loopback.exchange(&frame, count, into: &reply)
        return replyBytes == 0 ? 0 : Int32(bitPattern: UInt32(truncatingIfNeeded: word(at: 4)))
    }

    /// Eight bytes of the reply.
    private func word(at start: Int) -> UInt64 {
        var word: UInt64 = 0
        for byte in 0..<8 { word |= UInt64(reply[start + byte]) << UInt64(byte * 8) }
        return word
    }

    private func entry() throws(Errno) -> NodeID {
        let node = word(at: Self.answerHeaderBytes)
        // A name that does not exist is answered with node 0, which the kernel may keep.
        guard node != 0 else { throw .noSuchFileOrDirectory }
        return NodeID(rawValue: node)
    }
}
