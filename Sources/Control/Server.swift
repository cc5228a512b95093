public import Basics
import CLinux
import Glibc
import Synchronization

/// Answers questions about one mount on its control socket, and on a network address where one was asked for,
/// from one thread of its own.
///
/// The socket is open to every local user, and the address to whoever reaches it, so that each connection is
/// bounded: in the size of its request, in time, and in number, altogether and a user.
public final class Server: Sendable {
    static let connectionLimit = 32
    static let connectionLimitPerUser = 8
    /// Of the network. Who asks at once is answered all the same: the oldest makes room.
    static let networkConnectionLimit = 16
    static let networkQueueLength = 128
    static let requestTimeMilliseconds = 5000
    static let longAnswerLimit = 4
    /// How long the daemon of a mount that has ended may take to end, too.
    static let patienceMilliseconds = 2000

    private let path: String
    private let listener: Int32
    private let network: NetworkListener?
    private let router: Router
    /// How many answers are being made on threads of their own.
    private let longAnswers = Atomic<Int>(0)
    private let stopped = Atomic<Bool>(false)

    /// Listens at `path`, in a folder that it makes if need be. A socket there that nobody listens on is
    /// replaced.
    ///
    /// - Parameters:
    ///   - network: where else it listens; it is closed with the process.
    ///   - endpoints: all that it answers.
    public init(
        at path: String, and network: NetworkListener? = nil, answering endpoints: [Endpoint]
    ) throws(Errno) {
        self.path = path
        self.network = network
        router = Router(
            endpoints, showingPage: network?.showsPage ?? false, onLoopback: network?.isLoopback ?? true)
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
            var waits = connections.map { pollfd(fd: $0.descriptor, events: $0.events, revents: 0) }
            // With all places taken, who comes next waits in the queue of the socket.
            let isFull = connections.count { $0.user != nil } >= Self.connectionLimit
            waits.append(pollfd(fd: isFull ? -1 : listener, events: Int16(POLLIN), revents: 0))
            waits.append(pollfd(fd: network?.descriptor ?? -1, events: Int16(POLLIN), revents: 0))
            let first = connections.map(\.deadline).min()
            let timeout = first.map { Int32(clamping: $0 - now) } ?? -1
            guard unsafe poll(&waits, UInt(waits.count), timeout) > 0 else { continue }
            var kept: [Connection] = []
            for (connection, wait) in zip(connections, waits) {
                if wait.revents == 0 {
                    kept.append(connection)
                } else if let rest = proceeded(connection) {
                    kept.append(rest)
                } else {
                    close(connection.descriptor)
                }
            }
            if waits[waits.count - 2].revents != 0 { accept(from: listener, beside: &kept) }
            if waits[waits.count - 1].revents != 0, let network {
                acceptUnknown(from: network.descriptor, beside: &kept)
            }
            connections = kept
        }
    }

    private func accept(from listener: Int32, beside others: inout [Connection]) {
        let descriptor = linux_socket_accept(listener)
        guard descriptor >= 0 else { return }
        let peer = linux_socket_peer(descriptor)
        let already = others.count { $0.user == peer.user }
        guard peer.error == 0, peer.user == 0 || already < Self.connectionLimitPerUser else {
            close(descriptor)
            return
        }
        others.append(Connection(descriptor, of: peer.user))
    }

    /// Of who comes over the network nothing is known, so that nobody there can be told from a crowd.
    private func acceptUnknown(from listener: Int32, beside others: inout [Connection]) {
        // Many at once: one whom the queue has no place for tries again only after a second.
        for _ in 0..<Self.networkQueueLength {
            let descriptor = linux_socket_accept(listener)
            guard descriptor >= 0 else { return }
            if others.count(where: { $0.user == nil }) >= Self.networkConnectionLimit,
                let oldest = others.firstIndex(where: { $0.user == nil })
            {
                close(others.remove(at: oldest).descriptor)
            }
            others.append(Connection(descriptor, of: nil))
        }
    }

    /// Takes what has come, or sends on. Returns the connection as long as it is not at its end.
    private func proceeded(_ connection: Connection) -> Connection? {
        var connection = connection
        switch connection.state {
        case .asking: return connection.receive() ? answered(connection) : nil
        case .answering: return connection.send() ? connection : nil
        case .parting: return connection.drain() ? connection : nil
        }
    }

    /// Answers where the request is whole.
    private func answered(_ connection: Connection) -> Connection? {
        let reply: Reply
        if let request = Wire.request(in: connection.received) {
            let peer = connection.user.map { Peer(user: $0, isTrusted: $0 == 0 || $0 == geteuid()) }
            do throws(Router.Unrouted) {
                let route = try router.route(request, by: peer)
                if !route.endpoint.takesLong {
                    reply = route.reply()
                } else if answerApart(route, on: connection) {
                    return nil
                } else {
                    reply = .error("503 Service Unavailable")
                }
            } catch {
                reply = error.reply
            }
        } else if Wire.hasOverlongHead(connection.received) {
            reply = .error("431 Request Header Fields Too Large")
        } else {
            return connection
        }
        var connection = connection
        connection.answer(with: Wire.answer(reply))
        return connection.send() ? connection : nil
    }

    /// Answers on a thread of its own; false where there are too many of them.
    private func answerApart(_ route: Router.Route, on connection: Connection) -> Bool {
        let descriptor = dup(connection.descriptor)
        let isFree = longAnswers.wrappingAdd(1, ordering: .relaxed).newValue <= Self.longAnswerLimit
        do throws(Errno) {
            guard isFree, descriptor >= 0 else { throw .resourceTemporarilyUnavailable }
            try Thread.start { [self] in
                Self.answer(route, on: descriptor)
                longAnswers.wrappingSubtract(1, ordering: .relaxed)
                close(descriptor)
            }
            return true
        } catch {
            longAnswers.wrappingSubtract(1, ordering: .relaxed)
            if descriptor >= 0 { close(descriptor) }
            return false
        }
    }

    private static func answer(_ route: Router.Route, on descriptor: Int32) {
        if let talk = route.endpoint.talk {
            do throws(ControlRefusal) {
                try talk(route.request, Conversation(descriptor: descriptor))
            } catch {
                _ = sendAll(Wire.answer(.refusal(error)), on: descriptor)
            }
            return
        }
        guard let stream = route.endpoint.stream else {
            _ = sendAll(Wire.answer(route.reply()), on: descriptor)
            return
        }
        guard sendAll(Wire.answer(route.reply(), isWhole: false), on: descriptor) else { return }
        stream(route.request) { sendAll($0, on: descriptor) }
    }

    /// Sends what may be more than the socket's buffer takes, to a reader who reads on. Returns whether he
    /// did.
    static func sendAll(_ bytes: [UInt8], on descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = Connection.send(rest, on: descriptor)
            if sent > 0 {
                rest = rest.dropFirst(sent)
                continue
            }
            var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard sent == -Int(EAGAIN), unsafe poll(&wait, 1, Int32(requestTimeMilliseconds)) > 0 else {
                return false
            }
        }
        return true
    }
}
