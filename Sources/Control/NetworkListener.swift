public import Basics
import CLinux
import Glibc

/// An address of TCP at which a mount's server answers what changes nothing.
public struct NetworkListener: Sendable {
    /// Where to listen: a numeric address, or `localhost`, and a port.
    public struct Address: Hashable, Sendable, CustomStringConvertible {
        public let host: String
        public let port: UInt16

        /// Reads `ADDRESS:PORT`, `:PORT` for this machine alone, or `[ADDRESS]:PORT` for one with colons;
        /// nil for anything else. Port 0 stands for any that is free.
        public init?(_ text: String) {
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
            else { return nil }
            var host = String(text[..<colon])
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = String(host.dropFirst().dropLast())
            } else if host.contains(":") {
                return nil
            }
            if host.isEmpty || host == "localhost" { host = "127.0.0.1" }
            guard unsafe linux_tcp_is_address(host) else { return nil }
            self.host = host
            self.port = port
        }

        init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }

        public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

        public var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" }
    }

    let descriptor: Int32
    let showsPage: Bool
    let isLoopback: Bool
    /// Where it listens, the port that was free included.
    public let address: Address

    /// - Parameter showsPage: whether the page is shown there, and what it shows can be read.
    public init(at address: Address, showingPage showsPage: Bool) throws(Errno) {
        let descriptor = unsafe linux_tcp_listen(address.host, address.port, Int32(Server.networkQueueLength))
        guard descriptor >= 0 else { throw Errno(rawValue: -descriptor) }
        self.descriptor = descriptor
        self.showsPage = showsPage
        isLoopback = address.isLoopback
        self.address = Address(host: address.host, port: linux_tcp_port(descriptor))
    }
}
