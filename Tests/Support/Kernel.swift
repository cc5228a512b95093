package import Basics
import CLinux
import Glibc

/// The system calls that the cases make, one function each: a result, or the errno thrown.
///
/// Nothing here interprets, retries or remembers, so that a case says exactly what was asked of the kernel.
package enum Kernel {
    /// Runs one call that returns -1 on failure.
    @discardableResult
    package static func call<Number: SignedInteger>(_ body: () -> Number) throws -> Number {
        let result = body()
        if result == -1 { throw Errno(rawValue: errno) }
        return result
    }

    package static func open(_ path: Path, _ flags: Int32, _ mode: UInt32 = 0o644) throws -> Int32 {
        try call { unsafe path.withPointer { unsafe Glibc.open($0, flags | O_CLOEXEC, mode) } }
    }

    package static func close(_ fd: Int32) throws {
        try call { Glibc.close(fd) }
    }

    package static func read(_ fd: Int32, _ count: Int) throws -> [UInt8] {
        try unsafe filling(count) { unsafe Glibc.read(fd, $0, count) }
    }

    package static func read(_ fd: Int32, at offset: Int, _ count: Int) throws -> [UInt8] {
        try unsafe filling(count) { unsafe pread(fd, $0, count, offset) }
    }

    @discardableResult
    package static func write(_ fd: Int32, _ bytes: [UInt8]) throws -> Int {
        try call { unsafe bytes.withUnsafeBytes { unsafe Glibc.write(fd, $0.baseAddress, bytes.count) } }
    }

    @discardableResult
    package static func write(_ fd: Int32, _ bytes: [UInt8], at offset: Int) throws -> Int {
        try call { unsafe bytes.withUnsafeBytes { unsafe pwrite(fd, $0.baseAddress, bytes.count, offset) } }
    }

    package static func mkdir(_ path: Path, _ mode: UInt32 = 0o755) throws {
        try call { unsafe path.withPointer { unsafe Glibc.mkdir($0, mode) } }
    }

    package static func rmdir(_ path: Path) throws {
        try call { unsafe path.withPointer { unsafe Glibc.rmdir($0) } }
    }

    package static func unlink(_ path: Path) throws {
        try call { unsafe path.withPointer { unsafe Glibc.unlink($0) } }
    }

    package static func link(_ source: Path, _ target: Path, flags: Int32 = 0) throws {
        try linkat(AT_FDCWD, source, target, flags: flags)
    }

    package static func linkat(_ fd: Int32, _ source: Path, _ target: Path, flags: Int32) throws {
        try call {
            unsafe source.withPointer { from in
                unsafe target.withPointer { unsafe Glibc.linkat(fd, from, AT_FDCWD, $0, flags) }
            }
        }
    }

    package static func symlink(_ target: Path, _ path: Path) throws {
        try call {
            unsafe target.withPointer { to in unsafe path.withPointer { unsafe Glibc.symlink(to, $0) } }
        }
    }

    package static func readlink(_ path: Path, capacity: Int = 8192) throws -> [UInt8] {
        try unsafe filling(capacity) { room in
            unsafe path.withPointer {
                unsafe Glibc.readlink($0, room.assumingMemoryBound(to: CChar.self), capacity)
            }
        }
    }

    package static func rename(_ source: Path, _ target: Path) throws {
        try call {
            unsafe source.withPointer { from in unsafe target.withPointer { unsafe Glibc.rename(from, $0) } }
        }
    }

    package static func rename(_ source: Path, _ target: Path, flags: UInt32) throws {
        try call {
            unsafe source.withPointer { from in
                unsafe target.withPointer { unsafe linux_renameat2(from, $0, flags) }
            }
        }
    }

    package static func mknod(_ path: Path, _ mode: UInt32, device: UInt = 0) throws {
        try call { unsafe path.withPointer { unsafe Glibc.mknod($0, mode, device) } }
    }

    package static func access(_ path: Path, _ mode: Int32) throws {
        try call { unsafe path.withPointer { unsafe Glibc.access($0, mode) } }
    }

    package static func chdir(_ path: Path) throws {
        try call { unsafe path.withPointer { unsafe Glibc.chdir($0) } }
    }

    package static func workingDirectory() throws -> String {
        let bytes = try unsafe filling(4096) { room in
            unsafe getcwd(room.assumingMemoryBound(to: CChar.self), 4096) == nil ? -1 : strlen(room)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    package static func mountTmpfs(_ path: Path, _ options: Path) throws {
        try call {
            unsafe path.withPointer { place in
                unsafe options.withPointer { unsafe linux_mount_tmpfs(place, $0) }
            }
        }
    }

    package static func unmount(_ path: Path, flags: Int32 = 0) throws {
        try call { unsafe path.withPointer { unsafe linux_umount($0, flags) } }
    }

    package static func inotify(_ path: Path, _ mask: UInt32) throws -> Int32 {
        try call { unsafe path.withPointer { unsafe linux_inotify_watch($0, mask) } }
    }

    /// Whether FUSE can mount here: nil, or the errno that says why not.
    package static func whyNoFuse() -> Errno? {
        let reason = linux_probe_fuse()
        return reason == 0 ? nil : Errno(rawValue: reason)
    }

    static func filling(_ capacity: Int, _ body: (UnsafeMutableRawPointer) -> Int) throws -> [UInt8] {
        var count = 0
        var reason: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: max(capacity, 1)) { room, used in
            guard let start = room.baseAddress else { preconditionFailure("room was asked for") }
            count = unsafe body(UnsafeMutableRawPointer(start))
            reason = errno
            used = max(count, 0)
        }
        if count < 0 { throw Errno(rawValue: reason) }
        return bytes
    }
}
