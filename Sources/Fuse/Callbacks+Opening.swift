// The functions have the names that the C header gives them.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Basics
import CFuseShim

/// Tells the kernel of backing files over the connection that a request came from.
struct RequestRegistry: BackingRegistry {
    /// It outlives the request, and so may the registry.
    private let connection: Int32

    @unsafe init(of request: fuse_req_t) {
        connection = unsafe shim_connection_of(request)
    }

    func register(_ descriptor: Int32) throws(Errno) -> Int32 {
        let backing = shim_register_backing(connection, descriptor)
        guard backing > 0 else { throw Errno(rawValue: -backing) }
        return backing
    }

    func unregister(_ backing: Int32) {
        shim_unregister_backing(connection, backing)
    }
}

extension FileOperations {
    /// Opens what was just made. Where that fails, the kernel does not get the node either.
    func open(
        _ entry: Entry, for mode: OpenMode, with registry: any BackingRegistry
    ) throws(Errno) -> Opening {
        do {
            return try open(entry.node, for: mode, with: registry)
        } catch {
            forget(entry.node, count: 1)
            throw error
        }
    }

    /// Takes back what an opening handed out, where the kernel did not take the reply.
    func keep(_ entry: Entry, _ opening: Opening, with registry: any BackingRegistry, if delivered: Bool) {
        if !delivered, opening.backing > 0 { release(entry.node, with: registry) }
        keep(entry, if: delivered)
    }
}

@c @implementation
func shim_on_open(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ flags: Int32
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe OpenReply(to: request)
        let registry = unsafe RequestRegistry(of: request)
        do throws(Errno) {
            let node = NodeID(rawValue: node)
            let opening = try operations.open(node, for: OpenMode(flags: flags), with: registry)
            let isDelivered = reply.opened(opening)
            if !isDelivered, opening.backing > 0 { operations.release(node, with: registry) }
        } catch {
            reply.fail(error, Attempt(.open, NodeID(rawValue: node)))
        }
    }
}

@c @implementation
func shim_on_release(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ handle: UInt64
) {
    unsafe lendOperations(of: context) { operations in
        operations.release(NodeID(rawValue: node), with: unsafe RequestRegistry(of: request))
    }
}
