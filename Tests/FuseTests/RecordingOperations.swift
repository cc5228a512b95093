import Basics
import Fuse
import Glibc
import Synchronization

/// A filesystem that does nothing: it notes what it was asked and gives the answers it was told to give.
final class RecordingOperations: FileOperations {
    struct State {
        /// One line for each call, in order.
        var calls: [String] = []
        /// One line for each refusal that was told of.
        var refused: [String] = []
        /// How many references have been handed out and not taken back, by node.
        var references: [UInt64: Int] = [:]
        /// What every method throws, if anything.
        var failure: Errno?
        var entry = Entry(node: NodeID(index: 7, number: 10), attributes: RecordingOperations.attributes)
        /// What `read` lends, one segment for each.
        var segments: [[UInt8]] = []
        /// What `readLink` and the xattr methods lend.
        var bytes: [UInt8] = []
        /// What `list` has: names, and an entry each.
        var listing: [(name: String, entry: Entry)] = []
        var changes = AttributeChanges()
        var number: Int64 = 0
        var opening = Opening()
    }

    private let state = Mutex(State())

    /// Every field differs from every other.
    static let attributes = Attributes(
        number: 101, mode: 0o100640, links: 3, owner: 1001, group: 1002, device: 0x103, size: 5_000_000_000,
        blocks: 17, accessed: Timestamp(seconds: 201, nanoseconds: 301),
        modified: Timestamp(seconds: -202, nanoseconds: 302),
        changed: Timestamp(seconds: 203, nanoseconds: 303))

    var calls: [String] { state.withLock { $0.calls } }
    var refused: [String] { state.withLock { $0.refused } }
    var lastCall: String { calls.last ?? "none" }
    var changes: AttributeChanges { state.withLock { $0.changes } }
    var references: [UInt64: Int] { state.withLock { $0.references } }

    func answer(_ edit: @Sendable (inout State) -> Void) {
        state.withLock { edit(&$0) }
    }

    private func note(_ call: String) throws(Errno) {
        let failure = state.withLock { state in
            state.calls.append(call)
            return state.failure
        }
        if let failure { throw failure }
    }

    private func noteEntry(_ call: String) throws(Errno) -> Entry {
        try note(call)
        return state.withLock { state in
            state.references[state.entry.node.rawValue, default: 0] &+= 1
            return state.entry
        }
    }

    private func text(_ span: RawSpan) -> String {
        unsafe span.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }

    private func text(_ caller: Caller) -> String {
        "\(caller.user):\(caller.group):\(caller.process)"
    }

    func open(
        _ node: NodeID, for mode: OpenMode, with registry: any BackingRegistry
    ) throws(Errno) -> Opening {
        // Every file that is made is opened, which says nothing new.
        state.withLock { $0.opening }
    }

    func release(_ node: NodeID, with registry: any BackingRegistry) {
        state.withLock { $0.calls.append("release \(node.rawValue)") }
    }

    func lookup(_ name: RawSpan, in parent: NodeID) throws(Errno) -> Entry {
        try noteEntry("lookup \(parent.rawValue) \(text(name))")
    }

    func revisit(_ node: NodeID) throws(Errno) -> Entry {
        try noteEntry("revisit \(node.rawValue)")
    }

    func parent(of directory: NodeID) throws(Errno) -> Entry {
        try noteEntry("parent \(directory.rawValue)")
    }

    func forget(_ node: NodeID, count: UInt64) {
        state.withLock { state in
            state.calls.append("forget \(node.rawValue) \(count)")
            state.references[node.rawValue, default: 0] &-= Int(truncatingIfNeeded: count)
        }
    }

    func attributes(of node: NodeID) throws(Errno) -> Attributes {
        try note("attributes \(node.rawValue)")
        return Self.attributes
    }

    func setAttributes(_ changes: AttributeChanges, of node: NodeID) throws(Errno) -> Attributes {
        state.withLock { $0.changes = changes }
        try note("setAttributes \(node.rawValue)")
        return Self.attributes
    }

    func readLink(_ node: NodeID, _ body: (RawSpan) -> Void) throws(Errno) {
        try note("readLink \(node.rawValue)")
        lend(body)
    }

    func makeNode(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, device: UInt32, by caller: Caller
    ) throws(Errno) -> Entry {
        try noteEntry(
            "makeNode \(parent.rawValue) \(text(name)) \(String(mode, radix: 8)) \(device) \(text(caller))")
    }

    func makeDirectory(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, by caller: Caller
    ) throws(Errno) -> Entry {
        try noteEntry(
            "makeDirectory \(parent.rawValue) \(text(name)) \(String(mode, radix: 8)) \(text(caller))")
    }

    func makeSymlink(
        _ name: RawSpan, in parent: NodeID, to target: RawSpan, by caller: Caller
    ) throws(Errno) -> Entry {
        try noteEntry("makeSymlink \(parent.rawValue) \(text(name)) \(text(target)) \(text(caller))")
    }

    func create(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, exclusive: Bool, by caller: Caller
    ) throws(Errno) -> Entry {
        try noteEntry(
            "create \(parent.rawValue) \(text(name)) \(String(mode, radix: 8)) \(exclusive) \(text(caller))")
    }

    func makeTemporary(in parent: NodeID, mode: UInt32, by caller: Caller) throws(Errno) -> Entry {
        try noteEntry("makeTemporary \(parent.rawValue) \(String(mode, radix: 8)) \(text(caller))")
    }

    func link(_ node: NodeID, as name: RawSpan, in parent: NodeID) throws(Errno) -> Entry {
        try noteEntry("link \(node.rawValue) \(parent.rawValue) \(text(name))")
    }

    func unlink(_ name: RawSpan, in parent: NodeID) throws(Errno) {
        try note("unlink \(parent.rawValue) \(text(name))")
    }

    func removeDirectory(_ name: RawSpan, in parent: NodeID) throws(Errno) {
        try note("removeDirectory \(parent.rawValue) \(text(name))")
    }

    func rename(
        _ name: RawSpan, in parent: NodeID, to newName: RawSpan, in newParent: NodeID, flags: RenameFlags,
        by caller: Caller
    ) throws(Errno) {
        try note(
            "rename \(parent.rawValue) \(text(name)) \(newParent.rawValue) \(text(newName)) "
                + "\(flags.rawValue) \(text(caller))")
    }

    func read(
        _ node: NodeID, at offset: Int64, count: Int, _ body: (borrowing Segments) -> Void
    ) throws(Errno) {
        try note("read \(node.rawValue) \(offset) \(count)")
        // One block of memory, cut into vectors.
        let parts = state.withLock { $0.segments }
        var bytes = parts.flatMap(\.self)
        unsafe bytes.withUnsafeMutableBytes { memory in
            var vectors: [iovec] = unsafe []
            var start = 0
            for part in parts {
                unsafe vectors.append(
                    iovec(iov_base: memory.baseAddress.map { unsafe $0 + start }, iov_len: part.count))
                start += part.count
            }
            unsafe vectors.withUnsafeBufferPointer { unsafe body(Segments($0, byteCount: start)) }
        }
    }

    func write(
        _ bytes: RawSpan, to node: NodeID, at offset: Int64, droppingPrivileges: Bool
    ) throws(Errno) -> Int {
        try note(
            "write \(node.rawValue) \(offset) \(text(bytes).prefix(20)) \(bytes.byteCount) "
                + "\(droppingPrivileges)"
        )
        return bytes.byteCount
    }

    func refused(_ error: Errno, _ attempt: Attempt, by caller: Caller) {
        let place =
            "\(attempt.node.rawValue) \(attempt.name.map { String(decoding: $0, as: UTF8.self) } ?? "")"
        state.withLock {
            $0.refused.append("\(attempt.operation.rawValue) \(place) \(error.rawValue) \(caller.process)")
        }
    }

    func allocate(_ node: NodeID, mode: AllocationMode, offset: Int64, count: Int64) throws(Errno) {
        try note("allocate \(node.rawValue) \(mode.rawValue) \(offset) \(count)")
    }

    func seek(_ node: NodeID, from offset: Int64, to kind: SparseSeek) throws(Errno) -> Int64 {
        try note("seek \(node.rawValue) \(offset) \(kind)")
        return state.withLock { $0.number }
    }

    func copyRange(
        from source: NodeID, at sourceOffset: Int64, to target: NodeID, at targetOffset: Int64, count: Int
    ) throws(Errno) -> Int {
        try note("copyRange \(source.rawValue) \(sourceOffset) \(target.rawValue) \(targetOffset) \(count)")
        return count
    }

    func list(
        _ node: NodeID, after cookie: UInt64, counting: Bool,
        _ body: (_ name: RawSpan, _ cookie: UInt64, _ entry: Entry) -> Bool
    ) throws(Errno) {
        try note("list \(node.rawValue) \(cookie) \(counting)")
        let listing = state.withLock { $0.listing }
        for (index, (name, entry)) in listing.enumerated() where UInt64(index) >= cookie {
            let bytes = Array(name.utf8)
            let isTaken = unsafe bytes.withUnsafeBytes { unsafe body($0.bytes, UInt64(index + 1), entry) }
            guard isTaken else { return }
            if counting && name != "." && name != ".." {
                state.withLock { $0.references[entry.node.rawValue, default: 0] &+= 1 }
            }
        }
    }

    func statistics(of node: NodeID) throws(Errno) -> FilesystemStatistics {
        try note("statistics \(node.rawValue)")
        return FilesystemStatistics(blockBytes: 4096, blocks: 11, freeBlocks: 12, nodes: 13, freeNodes: 14)
    }

    func setExtendedAttribute(
        _ name: RawSpan, of node: NodeID, to value: RawSpan, _ setting: AttributeSetting, by caller: Caller
    ) throws(Errno) {
        try note(
            "setExtendedAttribute \(node.rawValue) \(text(name)) \(text(value)) \(setting.rawValue) "
                + text(caller))
    }

    func extendedAttribute(
        _ name: RawSpan, of node: NodeID, by caller: Caller, _ body: (RawSpan) -> Void
    ) throws(Errno) {
        try note("extendedAttribute \(node.rawValue) \(text(name)) \(text(caller))")
        lend(body)
    }

    func extendedAttributeNames(
        of node: NodeID, by caller: Caller, _ body: (RawSpan) -> Void
    ) throws(Errno) {
        try note("extendedAttributeNames \(node.rawValue) \(text(caller))")
        lend(body)
    }

    func removeExtendedAttribute(_ name: RawSpan, of node: NodeID, by caller: Caller) throws(Errno) {
        try note("removeExtendedAttribute \(node.rawValue) \(text(name)) \(text(caller))")
    }

    private func lend(_ body: (RawSpan) -> Void) {
        let bytes = state.withLock { $0.bytes }
        unsafe bytes.withUnsafeBytes { unsafe body($0.bytes) }
    }
}
