// The functions have the names that the C header gives them.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Basics
import CFuseShim
import Glibc

@c @implementation
func shim_on_lookup(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ parent: UInt64, _ name: UnsafePointer<CChar>
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe EntryReply(to: request)
        do throws(Errno) {
            let parent = NodeID(rawValue: parent)
            let entry: Entry
            if unsafe strcmp(name, ".") == 0 {
                entry = try operations.revisit(parent)
            } else if unsafe strcmp(name, "..") == 0 {
                entry = try operations.parent(of: parent)
            } else {
                let name = try unsafe fileName(name)
                entry = try operations.lookup(unsafe name.bytes, in: parent)
            }
            operations.keep(entry, if: reply.found(entry))
        } catch {
            if error == .noSuchFileOrDirectory {
                reply.missing()
            } else {
                reply.fail(error)
            }
        }
    }
}

@c @implementation
func shim_on_forget(_ context: UnsafeMutableRawPointer, _ node: UInt64, _ count: UInt64) {
    unsafe lendOperations(of: context) { operations in
        operations.forget(NodeID(rawValue: node), count: count)
    }
}

@c @implementation
func shim_on_readlink(_ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64) {
    unsafe lendOperations(of: context) { operations in
        do throws(Errno) {
            var isAnswered = false
            try operations.readLink(NodeID(rawValue: node)) { target in
                unsafe DataReply(to: request).holds(target)
                isAnswered = true
            }
            if !isAnswered { unsafe DataReply(to: request).fail(.ioError) }
        } catch {
            unsafe DataReply(to: request).fail(error)
        }
    }
}
