// The functions have the names that the C header gives them.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Basics
import CFuseShim
import Glibc

@c @implementation
func shim_on_getattr(_ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe AttributesReply(to: request)
        do throws(Errno) {
            let attributes = try operations.attributes(of: NodeID(rawValue: node))
            reply.are(attributes)
        } catch {
            reply.fail(error)
        }
    }
}

@c @implementation
func shim_on_setattr(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ wanted: UnsafePointer<stat>,
    _ fields: Int32, _ dropsPrivileges: Bool
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe AttributesReply(to: request)
        do throws(Errno) {
            let changes = try AttributeChanges(
                unsafe wanted.pointee, fields: fields, dropsPrivileges: dropsPrivileges)
            let attributes = try operations.setAttributes(changes, of: NodeID(rawValue: node))
            reply.are(attributes)
        } catch {
            // Only a size and an owner can be refused, and no program asks for both at once.
            let isOwner = fields & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_SIZE) == FUSE_SET_ATTR_UID
            reply.fail(error, Attempt(isOwner ? .chown : .truncate, NodeID(rawValue: node)))
        }
    }
}

@c @implementation
func shim_on_statfs(_ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe StatisticsReply(to: request)
        do throws(Errno) {
            let statistics = try operations.statistics(of: NodeID(rawValue: node))
            reply.are(statistics)
        } catch {
            reply.fail(error)
        }
    }
}

@c @implementation
func shim_on_setxattr(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ name: UnsafePointer<CChar>,
    _ value: UnsafeRawPointer, _ count: Int, _ flags: Int32, _ dropsSetgid: Bool
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe StatusReply(to: request)
        do throws(Errno) {
            let name = try unsafe attributeName(name)
            let value = unsafe UnsafeRawBufferPointer(start: value, count: count)
            var setting = AttributeSetting(rawValue: flags)
            guard setting.isSubset(of: [.create, .replace]) else { throw .invalidArgument }
            if dropsSetgid { setting.insert(.droppingSetgid) }
            try operations.setExtendedAttribute(
                unsafe name.bytes, of: NodeID(rawValue: node), to: unsafe value.bytes,
                setting, by: unsafe Caller(of: request))
            reply.done()
        } catch {
            reply.fail(error, Attempt(.setxattr, NodeID(rawValue: node)))
        }
    }
}

@c @implementation
func shim_on_getxattr(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ name: UnsafePointer<CChar>,
    _ capacity: Int
) {
    unsafe lendOperations(of: context) { operations in
        do throws(Errno) {
            let name = try unsafe attributeName(name)
            var isAnswered = false
            try operations.extendedAttribute(
                unsafe name.bytes, of: NodeID(rawValue: node), by: unsafe Caller(of: request)
            ) { value in
                unsafe ExtendedAttributeReply(to: request).holds(value, within: capacity)
                isAnswered = true
            }
            if !isAnswered { unsafe ExtendedAttributeReply(to: request).fail(.ioError) }
        } catch {
            unsafe ExtendedAttributeReply(to: request).fail(error)
        }
    }
}

@c @implementation
func shim_on_listxattr(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ capacity: Int
) {
    unsafe lendOperations(of: context) { operations in
        do throws(Errno) {
            var isAnswered = false
            try operations.extendedAttributeNames(
                of: NodeID(rawValue: node), by: unsafe Caller(of: request)
            ) { names in
                unsafe ExtendedAttributeReply(to: request).holds(names, within: capacity)
                isAnswered = true
            }
            if !isAnswered { unsafe ExtendedAttributeReply(to: request).fail(.ioError) }
        } catch {
            unsafe ExtendedAttributeReply(to: request).fail(error)
        }
    }
}

@c @implementation
func shim_on_removexattr(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ name: UnsafePointer<CChar>
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe StatusReply(to: request)
        do throws(Errno) {
            let name = try unsafe attributeName(name)
            try operations.removeExtendedAttribute(
                unsafe name.bytes, of: NodeID(rawValue: node), by: unsafe Caller(of: request))
            reply.done()
        } catch {
            reply.fail(error, Attempt(.removexattr, NodeID(rawValue: node)))
        }
    }
}
