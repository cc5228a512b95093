public import Basics
import CLinux
import Glibc

/// An answer that goes on as long as both sides want it to: lines of JSON, each as there is something to say.
///
/// For the connection of a trusted peer, which has a thread of its own meanwhile.
public struct Conversation: Sendable {
    /// Readable where the peer has sent something, or has closed it.
    public let descriptor: Int32

    /// The peer's process, as the kernel recorded it; nil where it does not say.
    public var process: Int32? {
        let peer = linux_socket_peer(descriptor)
        return peer.error == 0 && peer.process > 0 ? peer.process : nil
    }

    /// Begins the answer; from here on nothing can be refused. Returns false where nobody listens.
    public func begin() -> Bool {
        Server.sendAll(Wire.answer(Reply("application/x-ndjson", []), isWhole: false), on: descriptor)
    }

    /// Returns false where nobody listens.
    @discardableResult
    public func say(_ line: some Encodable) -> Bool {
        do throws(ControlError) {
            return Server.sendAll(try JSON.encodeLine(line), on: descriptor)
        } catch {
            return false
        }
    }

    /// Takes the descriptor that the peer has sent; the caller closes it. Throws `.connectionReset` at the
    /// end of the connection.
    public func receiveDescriptor() throws(Errno) -> Int32 {
        let descriptor = linux_socket_receive_descriptor(descriptor)
        guard descriptor >= 0 else { throw Errno(rawValue: -descriptor) }
        return descriptor
    }

    /// Drops what the peer has sent. Returns false where he has closed the connection.
    public func isOpen() -> Bool {
        do throws(Errno) {
            return try !Files.read(descriptor, upTo: 4096).isEmpty
        } catch {
            return error == .wouldBlock
        }
    }
}
