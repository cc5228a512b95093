public import Basics
import CFuseShim
import Glibc

/// Why a session could not be made, mounted or served: one line in English.
public struct SessionError: Error, CustomStringConvertible, Sendable, Hashable {
    public let description: String

    init(_ description: String) {
        self.description = description
    }

    /// What libfuse said in the call that failed on this thread, or `fallback` where it said nothing.
    static func fromLibfuse(otherwise fallback: String) -> SessionError {
        let heard = unsafe String(cString: shim_last_message())
        return SessionError(heard.isEmpty ? fallback : heard)
    }
}

/// How many requests of one kind there were, and how long they took.
public struct RequestFigures: Sendable {
    /// As libfuse has it, such as `getattr`.
    public let name: String
    /// By how long they took: up to each of the bounds from the one before, and last the rest.
    public let requests: [Int]
    public let nanoseconds: Int

    /// Of all kinds, in the order of `Session.figures`.
    public static let names = (0..<UInt32(SHIM_KINDS)).map { unsafe String(cString: shim_kind_name($0)) }

    /// In nanoseconds: powers of two.
    public static let bounds = (0..<SHIM_BUCKETS - 1).map { 1 << Int(SHIM_FIRST_BUCKET + $0) }
}

/// What the callbacks are given: C holds it unretained, and the session that owns it outlives every callback.
final class SessionContext: Sendable {
    let operations: any FileOperations

    init(_ operations: any FileOperations) {
        self.operations = operations
    }
}

/// One FUSE mount: its connection to the kernel and the threads that serve it.
///
/// The order is `init`, `mount`, `serve`. The caller unmounts, with umount2(2): the kernel then ends the
/// connection, which ends `serve`. After a lazy unmount, whose connection lives on with its last open file,
/// `unmount` ends it.
@safe public final class Session: Sendable {
    /// Never changes; what it points to is safe to use from any thread, as the C header promises.
    nonisolated(unsafe) private let session: OpaquePointer
    private let context: SessionContext
    private let mountpoint: String

    public init(serving operations: any FileOperations, _ options: MountOptions) throws(SessionError) {
        precondition(options.workers > 0 && options.spinMicroseconds >= 0, "options out of range")
        context = SessionContext(operations)
        mountpoint = options.mountpoint
        let opaque = unsafe Unmanaged.passUnretained(context).toOpaque()
        let kernelOptions = options.kernelOptions.joined(separator: ",")
        let made = unsafe options.name.withCString { name in
            unsafe kernelOptions.withCString { kernelOptions in
                var settings = unsafe shim_options(
                    name: name, kernel_options: kernelOptions, allows_others: options.allowsOthers,
                    answers_open: options.answersOpen, passes_through: options.passesThrough,
                    acl: options.usesACL, io_uring: options.usesIOUring, debug: options.debug,
                    workers: UInt32(clamping: options.workers),
                    spin_microseconds: UInt32(clamping: options.spinMicroseconds))
                return unsafe shim_session_create(&settings, opaque)
            }
        }
        guard let made = unsafe made else { throw .fromLibfuse(otherwise: "cannot make a FUSE session") }
        unsafe session = unsafe made
    }

    /// Mounts on the mountpoint. Requests wait until `serve`.
    public func mount() throws(SessionError) {
        // The kernel would mount on a file as well, and then find that the root is none. What is a descriptor
        // is mounted already.
        var found = stat()
        let isThere = unsafe mountpoint.withCString { unsafe stat($0, &found) } == 0
        if isThere, !mountpoint.hasPrefix("/dev/fd/"), FileKind(mode: found.st_mode) != .directory {
            throw SessionError("\(mountpoint) is not a directory")
        }
        let result = unsafe mountpoint.withCString { unsafe shim_session_mount(session, $0) }
        guard result == 0 else { throw .fromLibfuse(otherwise: "cannot mount on \(mountpoint)") }
    }

    /// Serves until the connection ends, and returns when every worker has: 0, or the errno that ended it.
    ///
    /// Calls `ready` once, on this thread, when the kernel's first request is answered and the mount is
    /// usable.
    public func serve(ready: @Sendable () -> Void) -> Int32 {
        if unsafe shim_session_start(session) {
            ready()
        }
        return unsafe shim_session_finish(session)
    }

    /// Ends `serve`, now or when it is called, whatever became of the connection. Does not touch the mount
    /// itself: whoever still uses it would get ENOTCONN. From any thread, even twice.
    public func unmount() {
        unsafe shim_session_stop(session)
    }

    /// A number of each thread that serves what callers wait for: odd while it serves a request, and another
    /// for each. One that stays odd and the same is at that request still. From any thread.
    public func beats() -> [UInt32] {
        (0..<(unsafe shim_session_servers(session))).map { unsafe shim_session_beat(session, $0) }
    }

    /// What the requests of each kind have taken so far. From any thread.
    public func figures() -> [RequestFigures] {
        (0..<UInt32(SHIM_KINDS)).map { kind in
            let figures = unsafe shim_session_figures(session, kind)
            let requests = unsafe withUnsafeBytes(of: figures.requests) { bytes in
                unsafe bytes.bindMemory(to: UInt64.self).map { Int(clamping: $0) }
            }
            return RequestFigures(
                name: RequestFigures.names[Int(kind)], requests: requests,
                nanoseconds: Int(clamping: figures.nanoseconds))
        }
    }

    /// How many bytes READ requests were answered with, and WRITE requests have stored. The kernel's own
    /// reads from its cache, or from a backing file, are in neither.
    public var transferredBytes: (read: Int, written: Int) {
        unsafe (
            Int(clamping: shim_session_bytes_read(session)),
            Int(clamping: shim_session_bytes_written(session))
        )
    }

    /// Puts aside every request that would change something, until `thaw`, and returns when those that were
    /// being served have been.
    ///
    /// - Parameter event: an eventfd(2), set when more would have to be put aside than may be; `thaw` must
    ///   then follow soon.
    /// - Throws: `.timedOut` where a request takes longer, `.noBufferSpace` where too many came meanwhile;
    ///   nothing is frozen then.
    public func freeze(setting event: Int32, withinMilliseconds limit: Int) throws(Errno) {
        try Errno.check(unsafe shim_session_freeze(session, event, UInt32(clamping: limit)))
    }

    /// Serves what was put aside, on this thread, in the order in which it came. Must have returned before
    /// the session is let go.
    public func thaw() {
        unsafe shim_session_thaw(session)
    }

    /// Answers with EINTR what was put aside for callers that are being killed, so that they can end.
    public func releaseDying() {
        unsafe shim_session_release_dying(session)
    }

    /// What is put aside now.
    public var parked: (requests: Int, bytes: Int) {
        let figures = unsafe shim_session_parked(session)
        return (Int(figures.requests), Int(clamping: figures.bytes))
    }

    /// Connects the session to nobody, for tests: requests then come from `exchange`.
    package func loopBack() throws(SessionError) {
        let result = unsafe shim_session_loop_back(session)
        guard result == 0 else { throw SessionError("libfuse cannot loop back: errno \(result)") }
    }

    /// Serves one request frame on this thread and returns the reply frame, empty where there was none.
    package func exchange(_ frame: [UInt8]) -> [UInt8] {
        // libfuse may look a little past the end for a name.
        var request = frame + [UInt8](repeating: 0, count: Self.roomBehindFrame)
        let capacity = Int(SHIM_LARGEST_REQUEST) + 4096
        return unsafe [UInt8](unsafeUninitializedCapacity: capacity) { reply, count in
            count = unsafe exchange(&request, frame.count, UnsafeMutableRawBufferPointer(reply))
        }
    }

    /// The same without allocating: serves the first `count` bytes of `request`, which are changed and have
    /// at least 16 bytes behind them, puts the reply into `reply`, and returns its length.
    package func exchange(_ request: inout [UInt8], _ count: Int, into reply: inout [UInt8]) -> Int {
        precondition(count + Self.roomBehindFrame <= request.count, "no room behind the frame")
        return unsafe reply.withUnsafeMutableBytes { unsafe exchange(&request, count, $0) }
    }

    private static let roomBehindFrame = 16

    @unsafe private func exchange(
        _ request: inout [UInt8], _ count: Int, _ reply: UnsafeMutableRawBufferPointer
    ) -> Int {
        unsafe request.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress, let room = reply.baseAddress else { return 0 }
            return unsafe shim_session_exchange(session, start, count, room, reply.count)
        }
    }

    deinit {
        unsafe shim_session_destroy(session)
    }
}
