public import Basics
public import Fuse
import Synchronization

/// A reply as it would have gone to the kernel.
public struct Answer: Hashable, Sendable {
    /// 0, or the errno as a positive number.
    public var error: Int32
    /// What follows the header.
    public var payload: [UInt8]

    public init(error: Int32, payload: [UInt8] = []) {
        self.error = error
        self.payload = payload
    }

    /// The payload as the reply to LOOKUP and all that makes a node. CREATE's goes on behind it.
    public var entry: WireEntry { WireEntry(payload, at: 0) }

    /// The payload as the reply to GETATTR and SETATTR.
    public var attributes: WireAttributes { WireAttributes(payload, at: 16) }

    /// FOPEN_ flags in the reply to OPEN and OPENDIR, or to CREATE.
    public var openFlags: UInt32 { payload.get(UInt32.self, at: payload.count - 8) }

    /// The payload as the reply to WRITE, COPY_FILE_RANGE, and GETXATTR and LISTXATTR without room.
    public var count: UInt32 { payload.get(UInt32.self, at: 0) }

    /// The payload as the reply to LSEEK.
    public var offset: UInt64 { payload.get(UInt64.self, at: 0) }
}

/// libfuse without a kernel: requests are built in memory, and answered before the call returns.
///
/// The whole of the FUSE half runs, on the calling thread, in an ordinary process without privileges or
/// /dev/fuse.
/// Safe to use from several threads.
public final class Loopback: Sendable {
    private let session: Session
    private let unique = Atomic<UInt64>(2)
    /// Who makes the requests.
    public let caller: Caller

    /// Throws a `SessionError` where libfuse was built without custom I/O.
    public init(
        serving operations: any FileOperations, answersOpen: Bool = false, passesThrough: Bool = false,
        usesACL: Bool = false,
        caller: Caller = Caller(user: 1000, group: 1000, process: 4242)
    ) throws(SessionError) {
        session = try Session(
            serving: operations,
            MountOptions(
                mountpoint: "/nowhere", answersOpen: answersOpen, passesThrough: passesThrough,
                usesACL: usesACL))
        self.caller = caller
        try session.loopBack()
    }

    /// A loopback that has done INIT with all that a recent kernel offers.
    public static func initialized(
        serving operations: any FileOperations, answersOpen: Bool = false, usesACL: Bool = false
    ) throws(SessionError) -> Loopback {
        let loopback = try Loopback(serving: operations, answersOpen: answersOpen, usesACL: usesACL)
        _ = loopback.initialize()
        return loopback
    }

    /// Sends one request; nil where it has no reply.
    public func send(_ opcode: UInt32, node: UInt64 = 1, _ body: [UInt8] = []) -> Answer? {
        let number = unique.wrappingAdd(2, ordering: .relaxed).oldValue
        var frame: [UInt8] = []
        frame.put(UInt32(40 + body.count))
        frame.put(opcode)
        frame.put(number)
        frame.put(node)
        frame.put(caller.user)
        frame.put(caller.group)
        frame.put(caller.process)
        frame.put(UInt32(0))
        let reply = session.exchange(frame + body)
        guard !reply.isEmpty else { return nil }
        precondition(Int(reply.get(UInt32.self, at: 0)) == reply.count, "the length in the header is wrong")
        precondition(reply.get(UInt64.self, at: 8) == number, "the reply is to another request")
        return Answer(error: -reply.get(Int32.self, at: 4), payload: Array(reply[16...]))
    }

    /// Sends the request frame in the first `count` bytes of `frame` and returns the length of the reply,
    /// which is in `reply` then. Nothing is checked and nothing is allocated: for measurements.
    package func exchange(_ frame: inout [UInt8], _ count: Int, into reply: inout [UInt8]) -> Int {
        session.exchange(&frame, count, into: &reply)
    }

    /// What was counted of the request so far.
    package func figures(of kind: String) -> RequestFigures? { session.figures().first { $0.name == kind } }

    package var transferredBytes: (read: Int, written: Int) { session.transferredBytes }

    /// Sends a request that must have a reply.
    public func ask(_ opcode: Opcode, node: UInt64 = 1, _ body: [UInt8] = []) -> Answer {
        guard let answer = send(opcode.rawValue, node: node, body) else {
            preconditionFailure("\(opcode) had no reply")
        }
        return answer
    }

    /// INIT. Offers `flags` in the low word, and `extended` in the high one where they say that there is one;
    /// the accepted ones are 12 and 32 bytes into the payload.
    public func initialize(
        offering flags: InitFlags = .all, extended: UInt32 = .max, minor: UInt32 = 45
    ) -> Answer {
        ask(
            .initialize, node: 0,
            words(7, minor, 128 * 1024, flags.rawValue, flags.contains(.extended) ? extended : 0)
                + [UInt8](repeating: 0, count: 44))
    }

    private func words(_ values: UInt32...) -> [UInt8] {
        values.reduce(into: []) { $0.put($1) }
    }
}

extension Loopback {
    public func lookup(_ name: String, in parent: UInt64 = 1) -> Answer {
        ask(.lookup, node: parent, terminated(name))
    }

    public func forget(_ node: UInt64, count: UInt64 = 1) {
        var body: [UInt8] = []
        body.put(count)
        let answer = send(Opcode.forget.rawValue, node: node, body)
        precondition(answer == nil, "FORGET must not be answered")
    }

    public func getattr(_ node: UInt64) -> Answer {
        ask(.getattr, node: node, [UInt8](repeating: 0, count: 16))
    }

    /// SETATTR. `valid` has the FATTR_ bits of the fields to set.
    public func setattr(
        _ node: UInt64, valid: UInt32, mode: UInt32 = 0, user: UInt32 = 0, group: UInt32 = 0,
        size: UInt64 = 0,
        accessed: Timestamp = Timestamp(seconds: 0, nanoseconds: 0),
        modified: Timestamp = Timestamp(seconds: 0, nanoseconds: 0)
    ) -> Answer {
        var body: [UInt8] = []
        body.put(UInt64(valid))
        body.put(UInt64(0))
        body.put(size)
        body.put(UInt64(0))
        body.put(accessed.seconds)
        body.put(modified.seconds)
        body.put(Int64(0))
        for word in [accessed.nanoseconds, modified.nanoseconds, 0, mode, 0, user, group, 0] {
            body.put(word)
        }
        return ask(.setattr, node: node, body)
    }

    public func mknod(_ name: String, in parent: UInt64 = 1, mode: UInt32, device: UInt32 = 0) -> Answer {
        ask(.mknod, node: parent, words(mode, device, 0, 0) + terminated(name))
    }

    public func mkdir(_ name: String, in parent: UInt64 = 1, mode: UInt32 = 0o755) -> Answer {
        ask(.mkdir, node: parent, words(mode, 0) + terminated(name))
    }

    public func symlink(_ name: String, in parent: UInt64 = 1, to target: String) -> Answer {
        ask(.symlink, node: parent, terminated(name) + terminated(target))
    }

    public func readlink(_ node: UInt64) -> Answer {
        ask(.readlink, node: node)
    }

    public func create(
        _ name: String, in parent: UInt64 = 1, mode: UInt32 = 0o100644, flags: UInt32 = 0o2
    ) -> Answer {
        ask(.create, node: parent, words(flags, mode, 0o022, 0) + terminated(name))
    }

    public func tmpfile(in parent: UInt64 = 1, mode: UInt32 = 0o100600) -> Answer {
        ask(.tmpfile, node: parent, words(0o2, mode, 0o022, 0) + terminated("/"))
    }

    public func link(_ node: UInt64, as name: String, in parent: UInt64 = 1) -> Answer {
        var body: [UInt8] = []
        body.put(node)
        return ask(.link, node: parent, body + terminated(name))
    }

    public func unlink(_ name: String, in parent: UInt64 = 1) -> Answer {
        ask(.unlink, node: parent, terminated(name))
    }

    public func rmdir(_ name: String, in parent: UInt64 = 1) -> Answer {
        ask(.rmdir, node: parent, terminated(name))
    }

    public func rename(
        _ name: String, in parent: UInt64 = 1, to newName: String, in newParent: UInt64 = 1, flags: UInt32 = 0
    ) -> Answer {
        var body: [UInt8] = []
        body.put(newParent)
        body.put(flags)
        body.put(UInt32(0))
        return ask(.rename2, node: parent, body + terminated(name) + terminated(newName))
    }

    public func read(_ node: UInt64, at offset: Int64, count: UInt32) -> Answer {
        ask(.read, node: node, range(offset, count) + [UInt8](repeating: 0, count: 16))
    }

    /// WRITE. `flags` has the FUSE_WRITE_ bits.
    public func write(_ bytes: [UInt8], to node: UInt64, at offset: Int64, flags: UInt32 = 0) -> Answer {
        var body: [UInt8] = []
        body.put(UInt64(0))
        body.put(offset)
        body.put(UInt32(bytes.count))
        body.put(flags)
        body.put(UInt64(0))
        body.put(UInt64(0))
        return ask(.write, node: node, body + bytes)
    }

    public func fallocate(_ node: UInt64, mode: UInt32 = 0, offset: Int64, count: Int64) -> Answer {
        var body: [UInt8] = []
        body.put(UInt64(0))
        body.put(offset)
        body.put(count)
        body.put(mode)
        body.put(UInt32(0))
        return ask(.fallocate, node: node, body)
    }

    /// LSEEK. `whence` is 3 for data and 4 for holes.
    public func lseek(_ node: UInt64, from offset: Int64, whence: UInt32) -> Answer {
        ask(.lseek, node: node, range(offset, whence))
    }

    public func copyFileRange(
        from source: UInt64, at sourceOffset: Int64, to target: UInt64, at targetOffset: Int64, count: UInt64,
        flags: UInt64 = 0
    ) -> Answer {
        var body: [UInt8] = []
        for word in [0, UInt64(bitPattern: sourceOffset), target, 0, UInt64(bitPattern: targetOffset)] {
            body.put(word)
        }
        body.put(count)
        body.put(flags)
        return ask(.copyFileRange, node: source, body)
    }

    /// READDIR, or READDIRPLUS where `plus`, with room for `count` bytes.
    public func readdir(_ node: UInt64, after cookie: UInt64 = 0, count: UInt32 = 4096, plus: Bool = false)
        -> Answer
    {
        let body = range(Int64(bitPattern: cookie), count) + [UInt8](repeating: 0, count: 16)
        return ask(plus ? .readdirplus : .readdir, node: node, body)
    }

    public func statfs(_ node: UInt64 = 1) -> Answer {
        ask(.statfs, node: node)
    }

    /// SETXATTR in the long form, which is negotiated with ACLs. `extra` has the FUSE_SETXATTR_ bits.
    public func longSetxattr(_ name: String, of node: UInt64, to value: [UInt8], extra: UInt32) -> Answer {
        ask(.setxattr, node: node, words(UInt32(value.count), 0, extra, 0) + terminated(name) + value)
    }

    public func setxattr(_ name: String, of node: UInt64, to value: [UInt8], flags: UInt32 = 0) -> Answer {
        ask(.setxattr, node: node, words(UInt32(value.count), flags) + terminated(name) + value)
    }

    public func getxattr(_ name: String, of node: UInt64, count: UInt32) -> Answer {
        ask(.getxattr, node: node, words(count, 0) + terminated(name))
    }

    public func listxattr(_ node: UInt64, count: UInt32) -> Answer {
        ask(.listxattr, node: node, words(count, 0))
    }

    public func removexattr(_ name: String, of node: UInt64) -> Answer {
        ask(.removexattr, node: node, terminated(name))
    }

    public func open(_ node: UInt64, flags: UInt32 = 0) -> Answer {
        ask(.open, node: node, words(flags, 0))
    }

    public func opendir(_ node: UInt64) -> Answer {
        ask(.opendir, node: node, words(0, 0))
    }

    private func terminated(_ name: String) -> [UInt8] {
        Array(name.utf8) + [0]
    }

    /// A handle, an offset, and a 32-bit number with its padding: how READ, READDIR and LSEEK begin.
    private func range(_ offset: Int64, _ number: UInt32) -> [UInt8] {
        var body: [UInt8] = []
        body.put(UInt64(0))
        body.put(offset)
        body.put(number)
        body.put(UInt32(0))
        return body
    }
}
