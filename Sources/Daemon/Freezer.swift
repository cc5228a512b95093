import Basics
import CLinux
import Control
import Fuse
import Glibc
import Logging
import Serving
import Tree

/// Freezes a mount: one freeze at a time, and none longer than its limit.
///
/// Each has a thread that waits for its end: of the connection that has asked for it, or one of its own. That
/// thread thaws, and so serves what had to wait.
final class Freezer: FreezeKeeper {
    static let longestMilliseconds = 3_600_000
    static let usualMilliseconds = 60_000
    /// How long what is being done when a freeze begins may take.
    private static let settleMilliseconds = 5000
    /// How often it is looked for callers that are being killed, at the most.
    private static let lookMilliseconds = 100

    private let mountpoint: String
    private let engine: Engine
    private let usesIOUring: Bool
    private let tree: Tree
    private let session: Session
    private let log: Logger
    private let current = Lock<Freeze?>(nil)

    init(_ mountpoint: String, _ configuration: Configuration, tree: Tree, session: Session, log: Logger) {
        self.mountpoint = mountpoint
        engine = configuration.engine
        usesIOUring = configuration.usesIOUring
        self.tree = tree
        self.session = session
        self.log = log
    }

    /// nil where nothing is frozen.
    var status: FreezeStatus? { current.withLock { $0 }.map(status) }

    private func status(of freeze: Freeze) -> FreezeStatus {
        let parked = session.parked
        return FreezeStatus(
            user: freeze.user, process: freeze.process, until: freeze.until,
            secondsFrozen: freeze.milliseconds / 1000, parkedRequests: parked.requests,
            parkedBytes: parked.bytes)
    }

    // MARK: Begin

    func freeze(
        _ request: FreezeRequest, by peer: Peer, in conversation: Conversation
    ) throws(ControlRefusal) {
        let limit = try limit(request.timeout)
        let holds = request.hold ?? false
        guard holds || !(request.view ?? false) else {
            throw ControlRefusal(.malformed, "view: only together with hold")
        }
        let freeze = try begin(by: peer.user, conversation.process, limit)
        let status = status(of: freeze)
        log.log(
            .notice, .frozen,
            "\(mountpoint): frozen by user \(peer.user), process \(freeze.process ?? 0), for "
                + "\(limit) ms at the most",
            ["user": "\(peer.user)", "pid": "\(freeze.process ?? 0)", "limit_ms": "\(limit)"])
        if holds {
            _ = conversation.begin() && conversation.say(FreezeLine(frozen: status))
            keep(freeze, for: conversation, showing: request.view ?? false)
            return
        }
        do throws(Errno) {
            try Thread.start { [self] in keep(freeze, for: nil, showing: false) }
        } catch {
            finish(freeze, .failed)
            throw ControlRefusal(.refused, "cannot freeze \(mountpoint): no thread: \(Wording.of(error))")
        }
        _ = conversation.begin() && conversation.say(FreezeLine(frozen: status))
    }

    private func limit(_ text: String?) throws(ControlRefusal) -> Int {
        guard let text else { return Self.usualMilliseconds }
        do throws(QuantityError) {
            let limit = try DurationArgument.milliseconds(parsing: text)
            guard (1...Self.longestMilliseconds).contains(limit) else {
                throw QuantityError("'\(text)' is not between 1ms and an hour")
            }
            return limit
        } catch {
            throw ControlRefusal(.malformed, "timeout: \(error)")
        }
    }

    private func begin(by user: UInt32, _ process: Int32?, _ limit: Int) throws(ControlRefusal) -> Freeze {
        guard engine != .passthrough else {
            throw ControlRefusal(
                .refused,
                "cannot freeze \(mountpoint): with the engine passthrough the kernel writes without asking")
        }
        // A request that waits would keep its processor's only place, and all others with it.
        guard !usesIOUring else {
            throw ControlRefusal(
                .refused, "cannot freeze \(mountpoint): its requests come over io_uring, which must not wait")
        }
        let freeze: Freeze
        do throws(Errno) {
            freeze = try Freeze(by: user, process, limitMilliseconds: limit)
        } catch {
            throw ControlRefusal(.refused, "cannot freeze \(mountpoint): \(Wording.of(error))")
        }
        let other = current.withLock { current -> Freeze? in
            if current == nil { current = freeze }
            return current === freeze ? nil : current
        }
        if let other {
            throw ControlRefusal(
                .refused, "\(mountpoint) is already \(status(of: other).summary): 'dmemfs thaw' ends it")
        }
        do throws(Errno) {
            try session.freeze(setting: freeze.event, withinMilliseconds: Self.settleMilliseconds)
            return freeze
        } catch {
            current.withLock { $0 = nil }
            freeze.isOver()
            throw ControlRefusal(.refused, "cannot freeze \(mountpoint): \(Wording.of(error)): try again")
        }
    }

    // MARK: End

    func thaw() throws(ControlRefusal) -> FreezeEnd {
        guard let end = end(.thawed) else {
            throw ControlRefusal(.refused, "\(mountpoint) is not frozen")
        }
        return end
    }

    /// Thaws, and returns when what had to wait was served. nil where nothing was frozen.
    @discardableResult
    func end(_ cause: FreezeEnd.Cause) -> FreezeEnd? {
        guard let freeze = current.withLock({ $0 }) else { return nil }
        freeze.end(cause)
        return freeze.awaitEnd()
    }

    /// Waits for whatever ends `freeze`, and ends it.
    private func keep(_ freeze: Freeze, for conversation: Conversation?, showing showsView: Bool) {
        var view: FrozenConnection?
        var awaitsView = showsView
        var pause = Self.lookMilliseconds
        while freeze.cause == nil {
            let left = freeze.limitMilliseconds - freeze.milliseconds
            if left <= 0 {
                freeze.end(.expired)
                break
            }
            let found = linux_await_either(
                freeze.event, conversation?.descriptor ?? -1, Int32(clamping: min(left, pause)))
            if found & 1 != 0 { freeze.end(.full) }
            if found & 2 != 0, let conversation {
                if awaitsView {
                    awaitsView = false
                    view = show(to: conversation, freeze)
                } else if !conversation.isOpen() {
                    freeze.end(.released)
                }
            }
            guard session.parked.requests > 0 else { continue }
            let began = Files.monotonicMilliseconds()
            session.releaseDying()
            // However many wait, it takes a small part of the time.
            pause = max(Self.lookMilliseconds, 20 * (Files.monotonicMilliseconds() - began))
        }
        // First: what is done from now on must not be seen there.
        view?.end()
        finish(freeze, freeze.cause ?? .released, telling: conversation)
    }

    /// Serves the view that the peer has mounted; nil where that failed, and the freeze ends.
    private func show(to conversation: Conversation, _ freeze: Freeze) -> FrozenConnection? {
        do {
            let device = try conversation.receiveDescriptor()
            let view = try FrozenConnection(on: device, showing: tree)
            try view.start { conversation.say(FreezeLine(view: true)) }
            return view
        } catch {
            if let error = error as? Errno, error == .connectionReset {
                freeze.end(.released)
            } else {
                log.error("\(mountpoint): cannot serve a view: \(error)")
                freeze.end(.failed)
            }
            return nil
        }
    }

    private func finish(
        _ freeze: Freeze, _ cause: FreezeEnd.Cause, telling conversation: Conversation? = nil
    ) {
        let parked = session.parked
        session.thaw()
        let end = FreezeEnd(
            cause, secondsFrozen: freeze.milliseconds / 1000, parkedRequests: parked.requests)
        current.withLock { $0 = nil }
        log.log(
            cause == .expired || cause == .full || cause == .failed ? .warning : .notice, .thawed,
            "\(mountpoint): thawed after \(freeze.milliseconds) ms, \(end.waited): \(end.reason)",
            ["cause": "\(cause.rawValue)", "parked": "\(parked.requests)", "ms": "\(freeze.milliseconds)"])
        // Before it is over: where the mount has ended, the process then does.
        conversation?.say(FreezeLine(thawed: end))
        freeze.isOver(end)
    }
}

/// One freeze, from its beginning to its end.
final class Freeze: Sendable {
    let user: UInt32
    let process: Int32?
    let limitMilliseconds: Int
    /// When it ends at the latest, in seconds since 1970.
    let until: Int
    /// Set when it is to end.
    let event: Int32
    /// Set when it has.
    private let over: Int32
    private let began = Files.monotonicMilliseconds()
    private let state = Lock<(cause: FreezeEnd.Cause?, end: FreezeEnd?)>((nil, nil))

    init(by user: UInt32, _ process: Int32?, limitMilliseconds: Int) throws(Errno) {
        event = linux_event_make()
        over = linux_event_make()
        self.user = user
        self.process = process
        self.limitMilliseconds = limitMilliseconds
        until = time(nil) + (limitMilliseconds + 999) / 1000
        guard event >= 0, over >= 0 else { throw .tooManyOpenFiles }
    }

    deinit {
        if event >= 0 { close(event) }
        if over >= 0 { close(over) }
    }

    /// How long it has lasted.
    var milliseconds: Int { Files.monotonicMilliseconds() - began }

    /// Why it is to end; nil as long as it is not.
    var cause: FreezeEnd.Cause? { state.withLock { $0.cause } }

    /// Asks for its end. The first who does so is the cause.
    func end(_ cause: FreezeEnd.Cause) {
        state.withLock { $0.cause = $0.cause ?? cause }
        linux_event_set(event)
    }

    func isOver(_ end: FreezeEnd? = nil) {
        state.withLock { $0.end = end }
        linux_event_set(over)
    }

    /// Waits until it is over. nil where it had not even begun.
    func awaitEnd() -> FreezeEnd? {
        _ = linux_await_either(over, -1, -1)
        return state.withLock { $0.end }
    }
}

/// The connection of a view: a mount of somebody else's that shows the tree of ours while it is frozen.
final class FrozenConnection: Sendable {
    private let session: Session
    private let over: Int32

    /// Takes `device`, whatever becomes of it.
    init(on device: Int32, showing tree: Tree) throws {
        over = linux_event_make()
        do {
            try FuseDevice.check(device, named: "what was sent")
            session = try Session(
                serving: FrozenView(of: tree), MountOptions(mountpoint: "/dev/fd/\(device)", workers: 2))
            try session.mount()
        } catch {
            close(device)
            throw error
        }
    }

    deinit { if over >= 0 { close(over) } }

    /// Serves it, on threads of its own; calls `ready` on one of them when it can be used.
    func start(ready: @escaping @Sendable () -> Void) throws(Errno) {
        guard over >= 0 else { throw .tooManyOpenFiles }
        try Thread.start { [self] in
            _ = session.serve(ready: ready)
            linux_event_set(over)
        }
    }

    /// Ends it, and returns when nobody serves it any more: who looks into it gets what the kernel has kept,
    /// or an error.
    func end() {
        session.unmount()
        _ = linux_await_either(over, -1, -1)
    }
}
