// The functions have the names that the C header gives them.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Basics
import CFuseShim
import Glibc

/// The most that one copy_file_range request may copy, in bytes: its reply counts in 32 bits.
private let longestCopy = 1 << 30

/// Throws `.invalidArgument` where the range does not lie in what an `Int64` can address.
private func check(offset: Int64, count: Int) throws(Errno) {
    guard offset >= 0, count >= 0 else { throw .invalidArgument }
}

@c @implementation
func shim_on_read(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ count: Int, _ offset: Int64
) {
    unsafe lendOperations(of: context) { operations in
        do throws(Errno) {
            try check(offset: offset, count: count)
            var isAnswered = false
            let count = min(count, Int(SHIM_LARGEST_REQUEST))
            try operations.read(NodeID(rawValue: node), at: offset, count: count) { segments in
                shim_count_read(segments.byteCount)
                unsafe DataReply(to: request).holds(segments)
                isAnswered = true
            }
            if !isAnswered { unsafe DataReply(to: request).fail(.ioError) }
        } catch {
            unsafe DataReply(to: request).fail(error)
        }
    }
}

@c @implementation
func shim_on_write(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ bytes: UnsafeRawPointer,
    _ count: Int, _ offset: Int64, _ dropsPrivileges: Bool, _ isWriteback: Bool
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe CountReply(to: request)
        do throws(Errno) {
            try check(offset: offset, count: count)
            let payload = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
            let taken = try operations.write(
                unsafe payload.bytes, to: NodeID(rawValue: node), at: offset,
                droppingPrivileges: dropsPrivileges)
            shim_count_written(taken)
            reply.wrote(taken)
        } catch {
            reply.fail(error, Attempt(isWriteback ? .writeback : .write, NodeID(rawValue: node), at: offset))
        }
    }
}

@c @implementation
func shim_on_fallocate(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ mode: Int32, _ offset: Int64,
    _ count: Int64
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe StatusReply(to: request)
        do throws(Errno) {
            let mode = AllocationMode(rawValue: mode)
            guard mode.isSubset(of: [.keepSize, .punchHole, .zeroRange]) else { throw .notSupported }
            guard offset >= 0, count > 0 else { throw .invalidArgument }
            try operations.allocate(NodeID(rawValue: node), mode: mode, offset: offset, count: count)
            reply.done()
        } catch {
            reply.fail(error, Attempt(.fallocate, NodeID(rawValue: node), at: offset))
        }
    }
}

@c @implementation
func shim_on_lseek(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ node: UInt64, _ offset: Int64,
    _ whence: Int32
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe OffsetReply(to: request)
        do throws(Errno) {
            let kind: SparseSeek
            switch whence {
            case shim_seek_data: kind = .data
            case shim_seek_hole: kind = .hole
            default: throw .invalidArgument
            }
            guard offset >= 0 else { throw .noSuchAddressOrDevice }
            let found = try operations.seek(NodeID(rawValue: node), from: offset, to: kind)
            reply.at(found)
        } catch {
            reply.fail(error)
        }
    }
}

@c @implementation
func shim_on_copy_file_range(
    _ context: UnsafeMutableRawPointer, _ request: fuse_req_t, _ source: UInt64, _ sourceOffset: Int64,
    _ target: UInt64, _ targetOffset: Int64, _ count: Int, _ flags: Int32
) {
    unsafe lendOperations(of: context) { operations in
        let reply = unsafe CountReply(to: request)
        do throws(Errno) {
            guard flags == 0 else { throw .invalidArgument }
            // A count beyond an Int comes as a negative one; it only means "as much as there is".
            let count = count < 0 ? longestCopy : min(count, longestCopy)
            try check(offset: sourceOffset, count: count)
            try check(offset: targetOffset, count: count)
            let copied = try operations.copyRange(
                from: NodeID(rawValue: source), at: sourceOffset, to: NodeID(rawValue: target),
                at: targetOffset,
                count: count)
            reply.wrote(copied)
        } catch {
            reply.fail(error, Attempt(.copy, NodeID(rawValue: target), at: targetOffset))
        }
    }
}
