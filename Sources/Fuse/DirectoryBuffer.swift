import Basics
import CFuseShim
import Glibc

/// Packs the entries of a directory the way the kernel wants them, until one does not fit.
@safe struct DirectoryBuffer: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private let request: fuse_req_t
    /// Whether each entry carries attributes and a counted reference to its node.
    private let plus: Bool
    private(set) var byteCount = 0
    /// Whether an entry was refused for want of room.
    private(set) var isFull = false

    /// As much as is worth packing for one request, however large the kernel's own buffer is.
    static let largestBytes = 128 * 1024

    /// `memory` must outlive the buffer.
    @unsafe init(_ memory: UnsafeMutableRawBufferPointer, for request: fuse_req_t, plus: Bool) {
        unsafe self.memory = unsafe memory
        unsafe self.request = unsafe request
        self.plus = plus
    }

    /// Adds one entry, or returns false when it does not fit; nothing has changed then.
    mutating func add(_ name: RawSpan, cookie: UInt64, _ entry: Entry) -> Bool {
        precondition((1...255).contains(name.byteCount), "a directory holds names of 1 to 255 bytes")
        var packed = fuse_entry_param(entry)
        // The kernel takes 0 to mean that no reference is handed out.
        if isDots(name) { packed.ino = 0 }
        let start = unsafe memory.baseAddress.map { unsafe $0 + byteCount }
        guard let start = unsafe start else { return false }
        let room = unsafe memory.count - byteCount
        let taken = unsafe name.withUnsafeBytes { bytes in
            guard let first = bytes.baseAddress else { return 0 }
            return unsafe shim_pack_entry(request, start, room, first, bytes.count, cookie, &packed, plus)
        }
        byteCount += taken
        if taken == 0 { isFull = true }
        return taken > 0
    }

    @unsafe borrowing func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe body(UnsafeRawBufferPointer(rebasing: memory[..<byteCount]))
    }

    /// The nodes to which a reference was packed.
    ///
    /// - Source: `struct fuse_direntplus`: a node's ID first, 144 bytes on the length of its name, 8 bytes on
    ///   the name, then zeros up to a multiple of 8.
    borrowing func forEachNode(_ body: (NodeID) -> Void) {
        guard plus else { return }
        var offset = 0
        while offset < byteCount {
            let node = unsafe memory.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let count = unsafe memory.loadUnaligned(fromByteOffset: offset + 144, as: UInt32.self)
            if node != 0 { body(NodeID(rawValue: node)) }
            offset += (152 + Int(count) + 7) & ~7
        }
    }

    private borrowing func isDots(_ name: RawSpan) -> Bool {
        guard name.byteCount <= 2 else { return false }
        return unsafe name.withUnsafeBytes { bytes in unsafe bytes.allSatisfy { $0 == UInt8(ascii: ".") } }
    }
}
