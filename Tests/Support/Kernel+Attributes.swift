import Basics
import CLinux
package import Glibc

/// Outside of `Kernel`, where the name means the C function.
private func statisticsOf(_ path: UnsafePointer<CChar>, _ result: UnsafeMutablePointer<Glibc.statvfs>)
    -> Int32
{
    unsafe statvfs(path, result)
}

extension Kernel {
    package static func stat(_ path: Path) throws -> Glibc.stat {
        var result = Glibc.stat()
        try call { unsafe path.withPointer { unsafe fstatat(AT_FDCWD, $0, &result, 0) } }
        return result
    }

    package static func lstat(_ path: Path) throws -> Glibc.stat {
        var result = Glibc.stat()
        try call { unsafe path.withPointer { unsafe Glibc.lstat($0, &result) } }
        return result
    }

    package static func stat(_ fd: Int32) throws -> Glibc.stat {
        var result = Glibc.stat()
        try call { unsafe fstat(fd, &result) }
        return result
    }

    package static func statvfs(_ path: Path) throws -> Glibc.statvfs {
        var result = Glibc.statvfs()
        try call { unsafe path.withPointer { unsafe statisticsOf($0, &result) } }
        return result
    }

    package static func chmod(_ path: Path, _ mode: UInt32) throws {
        try call { unsafe path.withPointer { unsafe Glibc.chmod($0, mode) } }
    }

    package static func chown(_ path: Path, _ owner: UInt32, _ group: UInt32) throws {
        try call { unsafe path.withPointer { unsafe Glibc.chown($0, owner, group) } }
    }

    package static func lchown(_ path: Path, _ owner: UInt32, _ group: UInt32) throws {
        try call { unsafe path.withPointer { unsafe Glibc.lchown($0, owner, group) } }
    }

    package static func truncate(_ path: Path, _ size: Int) throws {
        try call { unsafe path.withPointer { unsafe Glibc.truncate($0, size) } }
    }

    package static func truncate(_ fd: Int32, _ size: Int) throws {
        try call { ftruncate(fd, size) }
    }

    package static func fallocate(_ fd: Int32, _ mode: Int32, _ offset: Int, _ count: Int) throws {
        try call { linux_fallocate(fd, mode, Int64(offset), Int64(count)) }
    }

    package static func seek(_ fd: Int32, _ offset: Int, _ kind: Int32) throws -> Int {
        try call { lseek(fd, offset, kind) }
    }

    package static func copyRange(
        _ source: Int32, at sourceOffset: Int, _ target: Int32, at targetOffset: Int, _ count: Int
    ) throws -> Int {
        try call { linux_copy_file_range(source, Int64(sourceOffset), target, Int64(targetOffset), count) }
    }

    /// utimensat(2). A nil time is omitted.
    package static func setTimes(
        _ path: Path, accessed: timespec?, modified: timespec?, follow: Bool = true
    ) throws {
        let omitted = timespec(tv_sec: 0, tv_nsec: linux_utime_omit)
        let times = [accessed ?? omitted, modified ?? omitted]
        try call {
            unsafe path.withPointer { place in
                unsafe times.withUnsafeBufferPointer {
                    unsafe utimensat(AT_FDCWD, place, $0.baseAddress, follow ? 0 : AT_SYMLINK_NOFOLLOW)
                }
            }
        }
    }

    /// The time that utimensat(2) takes as "now".
    package static var now: timespec { timespec(tv_sec: 0, tv_nsec: linux_utime_now) }

    package static func setXattr(_ path: Path, _ name: Path, _ value: [UInt8], flags: Int32 = 0) throws {
        try call {
            unsafe path.withPointer { place in
                unsafe name.withPointer { key in
                    unsafe value.withUnsafeBytes {
                        unsafe linux_setxattr(place, key, $0.baseAddress, value.count, flags)
                    }
                }
            }
        }
    }

    package static func xattr(_ path: Path, _ name: Path, capacity: Int = 65536) throws -> [UInt8] {
        try unsafe filling(capacity) { room in
            unsafe path.withPointer { place in
                unsafe name.withPointer { unsafe linux_getxattr(place, $0, room, capacity) }
            }
        }
    }

    /// The size that getxattr(2) gives for a buffer of no size.
    package static func xattrSize(_ path: Path, _ name: Path) throws -> Int {
        try call {
            unsafe path.withPointer { place in
                unsafe name.withPointer { unsafe linux_getxattr(place, $0, nil, 0) }
            }
        }
    }

    /// The names, sorted.
    package static func xattrs(_ path: Path, capacity: Int = 65536) throws -> [String] {
        let bytes = try unsafe filling(capacity) { room in
            unsafe path.withPointer {
                unsafe linux_listxattr($0, room, capacity)
            }
        }
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.sorted()
    }

    package static func xattrsSize(_ path: Path) throws -> Int {
        try call { unsafe path.withPointer { unsafe linux_listxattr($0, nil, 0) } }
    }

    package static func removeXattr(_ path: Path, _ name: Path) throws {
        try call {
            unsafe path.withPointer { place in unsafe name.withPointer { unsafe linux_removexattr(place, $0) }
            }
        }
    }

    /// fcntl(2) with a lock on a range; `command` is F_SETLK or one of its kin. Returns the lock as it came
    /// back.
    @discardableResult
    package static func lock(
        _ fd: Int32, _ command: Int32, _ type: Int32, start: Int = 0, count: Int = 0
    ) throws -> Glibc.flock {
        var lock = Glibc.flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = start
        lock.l_len = count
        try call { unsafe fcntl(fd, command, &lock) }
        return lock
    }
}

/// A time of stat(2) that can be compared.
package struct Moment: Comparable, Sendable, CustomStringConvertible {
    package let seconds: Int
    package let nanoseconds: Int

    package init(_ seconds: Int, _ nanoseconds: Int = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    package init(_ time: timespec) {
        self.init(time.tv_sec, time.tv_nsec)
    }

    package var time: timespec { timespec(tv_sec: seconds, tv_nsec: nanoseconds) }

    package static func < (left: Moment, right: Moment) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    package var description: String { "\(seconds) s \(nanoseconds) ns" }
}

extension Glibc.stat {
    package var accessed: Moment { Moment(st_atim) }
    package var modified: Moment { Moment(st_mtim) }
    package var changed: Moment { Moment(st_ctim) }
    package var permissions: UInt32 { st_mode & 0o7777 }
    package var type: UInt32 { st_mode & 0o170000 }
}
