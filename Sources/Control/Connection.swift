import Basics
import CLinux
import Glibc

/// One who asks, from the first byte of the request to the last of the answer. Nothing here waits.
struct Connection {
    enum State {
        case asking
        case answering
        /// The answer is sent, and what the client still sends is thrown away: with it unread the kernel
        /// would take back what the client has not read yet.
        case parting
    }

    let descriptor: Int32
    /// nil for one who comes over a network.
    let user: UInt32?
    /// By when all must be over.
    let deadline = Files.monotonicMilliseconds() + Server.requestTimeMilliseconds
    private(set) var state = State.asking
    private(set) var received: [UInt8] = []
    private var unsent: ArraySlice<UInt8> = []

    init(_ descriptor: Int32, of user: UInt32?) {
        self.descriptor = descriptor
        self.user = user
    }

    /// What to wait for.
    var events: Int16 { Int16(state == .answering ? POLLOUT : POLLIN) }

    /// Takes what has come. Returns false where nothing more will.
    mutating func receive() -> Bool {
        do throws(Errno) {
            let part = try Files.read(descriptor, upTo: Wire.headLimitBytes)
            received += part
            return !part.isEmpty
        } catch {
            return error == .wouldBlock
        }
    }

    mutating func answer(with bytes: [UInt8]) {
        state = .answering
        received = []
        unsent = bytes[...]
    }

    /// Sends what the socket's buffer takes. Returns false where nothing is left to do.
    mutating func send() -> Bool {
        while !unsent.isEmpty {
            let sent = Self.send(unsent, on: descriptor)
            if sent == -Int(EAGAIN) { return true }
            guard sent > 0 else { return false }
            unsent = unsent.dropFirst(sent)
        }
        // The other end of a unix socket can read what was sent before whatever comes after.
        guard user == nil, shutdown(descriptor, Int32(SHUT_WR)) == 0 else { return false }
        unsent = []
        state = .parting
        return true
    }

    /// Throws away what has come. Returns false at the end.
    func drain() -> Bool {
        do throws(Errno) {
            return try !Files.read(descriptor, upTo: Wire.headLimitBytes).isEmpty
        } catch {
            return error == .wouldBlock
        }
    }

    /// Returns how many bytes were sent, or a negated errno.
    static func send(_ bytes: ArraySlice<UInt8>, on descriptor: Int32) -> Int {
        unsafe bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return 0 }
            return unsafe linux_socket_send(descriptor, start, bytes.count)
        }
    }
}
