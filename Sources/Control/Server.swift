public import Basics
import CLinux
import Glibc
import Synchronization

/// Answers questions about one mount on its control socket, from one thread of its own.
///
/// The socket is open to every local user, so that each connection is bounded: in the size of its request, in
/// time, and in number, altogether and a user.
public final class Server: Sendable {
    static let connectionLimit = 32
    static let connectionLimitPerUser = 8
    static let requestTimeMilliseconds = 5000
    static let longAnswerLimit = 4
    /// How long the daemon of a mount that has ended may take to end, too.
    static let patienceMilliseconds = 2000

    private let path: String
    private let listener: Int32
    private let answerStatus: @Sendable () -> Status
    private let changeLimits: @Sendable (LimitsRequest) throws(ControlRefusal) -> LimitsAnswer
    private let quotas: QuotaAnswers?
    private let refusals: RefusalAnswers?
    /// How many answers are being made on threads of their own.
    private let longAnswers = Atomic<Int>(0)
    private let reload: @Sendable () throws(ControlRefusal) -> LimitsAnswer
    private let stopped = Atomic<Bool>(false)

    private struct Connection {
        let descriptor: Int32
        let user: UInt32
        let deadline: Int
        var received: [UInt8] = []
    }

    /// Listens at `path`, in a folder that it makes if need be. A socket there that nobody listens on is
    /// replaced.
    ///
    /// - Parameters:
    ///   - limits: changes the limits; called for root and the owner of this process only.
    ///   - quotas: answers what concerns the quotas of directories; nil for none.
    ///   - refusals: answers what was refused, and why; nil for nothing.
    ///   - reload: reads the configuration anew; for the same.
    public init(
        at path: String,
        limits: @escaping @Sendable (LimitsRequest) throws(ControlRefusal) -> LimitsAnswer = {
            (_) throws(ControlRefusal) in throw ControlRefusal(.refused, "the limits are fixed")
        },
        quotas: (any QuotaKeeper)? = nil,
        refusals: (any RefusalKeeper)? = nil,
        reload: @escaping @Sendable () throws(ControlRefusal) -> LimitsAnswer = { () throws(ControlRefusal) in
            throw ControlRefusal(.refused, "there is nothing to read anew")
        },
        status: @escaping @Sendable () -> Status
    ) throws(Errno) {
        self.path = path
        changeLimits = limits
        self.reload = reload
        answerStatus = status
        self.quotas = quotas.map { QuotaAnswers(from: $0) }
        self.refusals = refusals.map { RefusalAnswers(from: $0) }
        listener = try Self.listen(at: path)
        do throws(Errno) {
            try Thread.start { [self] in serve() }
        } catch {
            close(listener)
            throw error
        }
    }

    /// Takes the socket away. Questions that are being answered may still be.
    public func stop() {
        guard !stopped.exchange(true, ordering: .relaxed) else { return }
        do throws(Errno) {
            try Files.remove(path)
        } catch {
            // Whoever removed it before us did what we wanted.
            return
        }
    }

    private static func listen(at path: String) throws(Errno) -> Int32 {
        let folder = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex))
        do throws(Errno) {
            try Files.makeFolder(folder, mode: 0o755)
        } catch {
            guard error == .fileExists else { throw error }
        }
        // A folder of another user's is no place for our socket: he could put his own there.
        let status = try Files.status(of: folder)
        guard status.owner == geteuid(), status.kind == .directory else { throw .permissionDenied }
        let deadline = Files.monotonicMilliseconds() + patienceMilliseconds
        while true {
            let listener = unsafe linux_socket_listen(path, 16)
            if listener >= 0 { return listener }
            guard listener == -EADDRINUSE else { throw Errno(rawValue: -listener) }
            let other = unsafe linux_socket_connect(path, 1)
            if other == -ECONNREFUSED {
                try Files.remove(path)
            } else if other >= 0 {
                close(other)
                // The kernel gave us the device number of a mount that has ended: its daemon is about to.
                guard Files.monotonicMilliseconds() < deadline else { throw .addressInUse }
                Thread.pause(microseconds: 20_000)
            } else if other != -ENOENT {
                throw Errno(rawValue: -other)
            }
        }
    }

    /// Waits without end as long as nobody asks: an idle daemon uses no CPU.
    private func serve() {
        var connections: [Connection] = []
        while true {
            let now = Files.monotonicMilliseconds()
            connections.removeAll { connection in
                let isOver = connection.deadline <= now
                if isOver { close(connection.descriptor) }
                return isOver
            }
            var waits = connections.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            // With all places taken, who comes next waits in the queue of the socket.
            let isFull = connections.count >= Self.connectionLimit
            waits.append(pollfd(fd: isFull ? -1 : listener, events: Int16(POLLIN), revents: 0))
            let first = connections.map(\.deadline).min()
            let timeout = first.map { Int32(clamping: $0 - now) } ?? -1
            guard unsafe poll(&waits, UInt(waits.count), timeout) > 0 else { continue }
            var kept: [Connection] = []
            for (index, connection) in connections.enumerated() {
                if waits[index].revents == 0 {
                    kept.append(connection)
                } else if let rest = received(on: connection) {
                    kept.append(rest)
                } else {
                    close(connection.descriptor)
                }
            }
            connections = kept
            guard waits[waits.count - 1].revents != 0 else { continue }
            if let next = accept(beside: connections) { connections.append(next) }
        }
    }

    private func accept(beside others: [Connection]) -> Connection? {
        let descriptor = linux_socket_accept(listener)
        guard descriptor >= 0 else { return nil }
        let peer = linux_socket_peer(descriptor)
        let already = others.count { $0.user == peer.user }
        guard peer.error == 0, peer.user == 0 || already < Self.connectionLimitPerUser else {
            close(descriptor)
            return nil
        }
        let deadline = Files.monotonicMilliseconds() + Self.requestTimeMilliseconds
        return Connection(descriptor: descriptor, user: peer.user, deadline: deadline)
    }

    /// Reads what has come; answers a whole request. Returns the connection as long as more must come.
    private func received(on connection: Connection) -> Connection? {
        var connection = connection
        do throws(Errno) {
            let part = try Files.read(connection.descriptor, upTo: Wire.headLimitBytes)
            if part.isEmpty { return nil }
            connection.received += part
        } catch {
            return error == .wouldBlock ? connection : nil
        }
        if let request = Wire.request(in: connection.received) {
            let peer = Self.peer(connection.user)
            if let quotas, QuotaAnswers.isMeant(by: request) {
                answer(request, by: peer, from: quotas, on: connection)
            } else if let refusals, RefusalAnswers.isMeant(by: request) {
                send(refusals.answer(request, to: peer), on: connection)
            } else {
                send(answer(to: request, by: peer), on: connection)
            }
            return nil
        }
        if Wire.hasOverlongHead(connection.received) {
            send(Wire.refusal("431 Request Header Fields Too Large"), on: connection)
            return nil
        }
        return connection
    }

    private static func peer(_ user: UInt32) -> Peer {
        Peer(user: user, isTrusted: user == 0 || user == geteuid())
    }

    /// Answers at once, or on a thread of its own what may take long and is asked by one who may.
    private func answer(
        _ request: Wire.Request, by peer: Peer, from quotas: QuotaAnswers, on connection: Connection
    ) {
        guard QuotaAnswers.takesLong(request), peer.isTrusted else {
            return send(quotas.answer(request, to: peer), on: connection)
        }
        let descriptor = dup(connection.descriptor)
        let isStarted = longAnswers.wrappingAdd(1, ordering: .relaxed).newValue <= Self.longAnswerLimit
        do throws(Errno) {
            guard isStarted, descriptor >= 0 else { throw .resourceTemporarilyUnavailable }
            try Thread.start { [self] in
                let answer = quotas.answer(request, to: peer)
                longAnswers.wrappingSubtract(1, ordering: .relaxed)
                Self.sendAll(answer, on: descriptor)
                close(descriptor)
            }
        } catch {
            longAnswers.wrappingSubtract(1, ordering: .relaxed)
            if descriptor >= 0 { close(descriptor) }
            send(Wire.refusal("503 Service Unavailable"), on: connection)
        }
    }

    private func answer(to request: Wire.Request, by peer: Peer) -> [UInt8] {
        do throws(ControlError) {
            switch (request.method, request.path) {
            case ("GET", "/v1/status"): return Wire.answer("200 OK", try JSON.encode(answerStatus()))
            case ("PUT", "/v1/limits"):
                guard let body = request.body else { return Wire.refusal("413 Content Too Large") }
                return try answer(to: peer) { () throws(ControlRefusal) in
                    try changeLimits(try Self.limitsRequest(in: body))
                }
            case ("PUT", "/v1/reload"): return try answer(to: peer, reload)
            default: return Self.answer(toOther: request)
            }
        } catch {
            return Wire.refusal("500 Internal Server Error")
        }
    }

    /// Answers who may change something with what became of it.
    private func answer(
        to peer: Peer, _ change: () throws(ControlRefusal) -> LimitsAnswer
    ) throws(ControlError) -> [UInt8] {
        let answer: LimitsAnswer
        do throws(ControlRefusal) {
            guard peer.isTrusted else {
                throw ControlRefusal(.denied, "permission denied: only root and the mount's owner")
            }
            answer = try change()
        } catch {
            return try Wire.refusal(error)
        }
        return Wire.answer("200 OK", try JSON.encode(answer))
    }

    private static func limitsRequest(in body: [UInt8]) throws(ControlRefusal) -> LimitsRequest {
        do throws(ControlError) {
            return try JSON.decode(LimitsRequest.self, from: body)
        } catch {
            throw ControlRefusal(.malformed, "the body is not JSON as /v1/limits takes it")
        }
    }

    private static func answer(toOther request: Wire.Request) -> [UInt8] {
        switch (request.method, request.path) {
        case ("", _): return Wire.refusal("400 Bad Request")
        case ("GET", _): return Wire.refusal("404 Not Found")
        default: return Wire.refusal("405 Method Not Allowed")
        }
    }

    /// An answer is far smaller than a socket's buffer: it is taken whole, or its reader does not read.
    private func send(_ bytes: [UInt8], on connection: Connection) {
        unsafe bytes.withUnsafeBytes { answer in
            guard let start = answer.baseAddress else { return }
            _ = unsafe linux_socket_send(connection.descriptor, start, answer.count)
        }
    }

    /// Sends what may be more than the socket's buffer takes, to a reader who reads on.
    private static func sendAll(_ bytes: [UInt8], on descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = unsafe rest.withUnsafeBytes { answer in
                guard let start = answer.baseAddress else { return 0 }
                return unsafe linux_socket_send(descriptor, start, answer.count)
            }
            if sent > 0 {
                rest = rest.dropFirst(sent)
                continue
            }
            var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard sent == -Int(EAGAIN), unsafe poll(&wait, 1, Int32(requestTimeMilliseconds)) > 0 else {
                return
            }
        }
    }
}
