// The functions have the names that the C header gives them.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Basics
import CFuseShim

@c @implementation
func shim_on_readdir(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ capacity: Int,
    _ cookie: UInt64,
    _ plus: Bool
) {
    unsafe lendOperations(of: context) { operations in
        let room = max(8, min(capacity, DirectoryBuffer.largestBytes))
        unsafe withUnsafeTemporaryAllocation(byteCount: room, alignment: 8) { memory in
            let reply = unsafe ListingReply(to: request)
            do throws(Errno) {
                var buffer = unsafe DirectoryBuffer(memory, for: request, plus: plus)
                try operations.list(NodeID(rawValue: node), after: cookie, counting: plus) {
                    name, cookie, entry in
                    buffer.add(name, cookie: cookie, entry)
                }
                // An empty reply would mean the end.
                if buffer.isFull && buffer.byteCount == 0 { throw .invalidArgument }
                if !reply.lists(buffer) {
                    buffer.forEachNode { operations.forget($0, count: 1) }
                }
            } catch {
                reply.fail(error)
            }
        }
    }
}
