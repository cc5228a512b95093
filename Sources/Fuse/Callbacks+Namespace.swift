// The functions have the names that the C header gives them.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Basics
import CFuseShim
import Glibc

/// The bits of a mode that a caller chooses.
private let permissionBits: UInt32 = 0o7777

@c @implementation
func shim_on_mknod(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ parent: UInt64, _ name: UnsafePointer<CChar>,
    _ mode: UInt32, _ device: UInt64
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe EntryReply(to: request)
        do throws(Errno) {
            let name = try unsafe fileName(name)
            guard let kind = FileKind(mode: mode), kind != .directory, kind != .symlink else {
                throw .invalidArgument
            }
            let entry = try operations.makeNode(
                unsafe name.bytes, in: NodeID(rawValue: parent), mode: kind.rawValue | mode & permissionBits,
                device: UInt32(truncatingIfNeeded: device), by: unsafe Caller(of: request))
            operations.keep(entry, if: reply.found(entry))
        } catch {
            reply.fail(error, unsafe Attempt(.mknod, in: parent, name))
        }
    }
}

@c @implementation
func shim_on_mkdir(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ parent: UInt64, _ name: UnsafePointer<CChar>,
    _ mode: UInt32
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe EntryReply(to: request)
        do throws(Errno) {
            let name = try unsafe fileName(name)
            let entry = try operations.makeDirectory(
                unsafe name.bytes, in: NodeID(rawValue: parent), mode: mode & permissionBits,
                by: unsafe Caller(of: request))
            operations.keep(entry, if: reply.found(entry))
        } catch {
            reply.fail(error, unsafe Attempt(.mkdir, in: parent, name))
        }
    }
}

@c @implementation
func shim_on_symlink(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ target: UnsafePointer<CChar>,
    _ parent: UInt64,
    _ name: UnsafePointer<CChar>
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe EntryReply(to: request)
        do throws(Errno) {
            let name = try unsafe fileName(name)
            let target = try unsafe symlinkTarget(target)
            let entry = try operations.makeSymlink(
                unsafe name.bytes, in: NodeID(rawValue: parent), to: unsafe target.bytes,
                by: unsafe Caller(of: request))
            operations.keep(entry, if: reply.found(entry))
        } catch {
            reply.fail(error, unsafe Attempt(.symlink, in: parent, name))
        }
    }
}

@c @implementation
func shim_on_create(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ parent: UInt64, _ name: UnsafePointer<CChar>,
    _ mode: UInt32, _ flags: Int32
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe CreateReply(to: request)
        do throws(Errno) {
            let name = try unsafe fileName(name)
            let entry = try operations.create(
                unsafe name.bytes, in: NodeID(rawValue: parent), mode: mode & permissionBits,
                exclusive: flags & O_EXCL != 0, by: unsafe Caller(of: request))
            let registry = unsafe RequestRegistry(of: request)
            let opening = try operations.open(entry, for: OpenMode(flags: flags), with: registry)
            operations.keep(entry, opening, with: registry, if: reply.created(entry, opening))
        } catch {
            reply.fail(error, unsafe Attempt(.create, in: parent, name))
        }
    }
}

@c @implementation
func shim_on_tmpfile(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ parent: UInt64, _ mode: UInt32,
    _ flags: Int32
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe CreateReply(to: request)
        do throws(Errno) {
            let entry = try operations.makeTemporary(
                in: NodeID(rawValue: parent), mode: mode & permissionBits, by: unsafe Caller(of: request))
            let registry = unsafe RequestRegistry(of: request)
            let opening = try operations.open(entry, for: OpenMode(flags: flags), with: registry)
            operations.keep(entry, opening, with: registry, if: reply.created(entry, opening))
        } catch {
            reply.fail(error, Attempt(.tmpfile, NodeID(rawValue: parent)))
        }
    }
}

@c @implementation
func shim_on_link(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ parent: UInt64,
    _ name: UnsafePointer<CChar>
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe EntryReply(to: request)
        do throws(Errno) {
            let name = try unsafe fileName(name)
            let entry = try operations.link(
                NodeID(rawValue: node), as: unsafe name.bytes, in: NodeID(rawValue: parent))
            operations.keep(entry, if: reply.found(entry))
        } catch {
            reply.fail(error, unsafe Attempt(.link, in: parent, name))
        }
    }
}

@c @implementation
func shim_on_unlink(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ parent: UInt64, _ name: UnsafePointer<CChar>
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe StatusReply(to: request)
        do throws(Errno) {
            let name = try unsafe fileName(name)
            try operations.unlink(unsafe name.bytes, in: NodeID(rawValue: parent))
            reply.done()
        } catch {
            reply.fail(error)
        }
    }
}

@c @implementation
func shim_on_rmdir(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ parent: UInt64, _ name: UnsafePointer<CChar>
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe StatusReply(to: request)
        do throws(Errno) {
            let name = try unsafe fileName(name)
            try operations.removeDirectory(unsafe name.bytes, in: NodeID(rawValue: parent))
            reply.done()
        } catch {
            reply.fail(error)
        }
    }
}

@c @implementation
func shim_on_rename(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ parent: UInt64, _ name: UnsafePointer<CChar>,
    _ newParent: UInt64, _ newName: UnsafePointer<CChar>, _ flags: UInt32
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe StatusReply(to: request)
        do throws(Errno) {
            let name = try unsafe fileName(name)
            let newName = try unsafe fileName(newName)
            try operations.rename(
                unsafe name.bytes, in: NodeID(rawValue: parent), to: unsafe newName.bytes,
                in: NodeID(rawValue: newParent), flags: RenameFlags(rawValue: flags),
                by: unsafe Caller(of: request))
            reply.done()
        } catch {
            reply.fail(error, unsafe Attempt(.rename, in: newParent, newName))
        }
    }
}
