import Basics
import CLinux
import Glibc

extension Kernel {
    /// One answer of readdir(3).
    package struct Listed: Hashable, Sendable {
        package let name: [UInt8]
        package let number: UInt
        /// The type bits of a mode, shifted as d_type has them.
        package let type: UInt8
        /// Where telldir(3) stood behind the entry.
        package let cookie: Int

        package var text: String { String(decoding: name, as: UTF8.self) }
    }

    /// An open directory stream. It is closed explicitly, since a case may need it up to its end.
    @safe package final class Stream {
        private let directory: OpaquePointer

        package init(_ path: Path) throws {
            guard let opened = unsafe path.withPointer({ unsafe opendir($0) }) else {
                throw Errno(rawValue: errno)
            }
            unsafe directory = opened
        }

        package func next() throws -> Listed? {
            errno = 0
            guard let entry = unsafe readdir(directory) else {
                if errno != 0 { throw Errno(rawValue: errno) }
                return nil
            }
            let name = unsafe linux_entry_name(entry)
            let bytes = unsafe Array(UnsafeRawBufferPointer(start: name, count: strlen(name)))
            return unsafe Listed(
                name: bytes, number: entry.pointee.d_ino, type: entry.pointee.d_type,
                cookie: telldir(directory))
        }

        package func seek(_ cookie: Int) { unsafe seekdir(directory, cookie) }
        package func rewind() { unsafe rewinddir(directory) }
        package func close() { unsafe _ = closedir(directory) }

        /// Everything from here to the end, without `.` and `..`.
        package func rest() throws -> [Listed] {
            var entries: [Listed] = []
            while let entry = try next() {
                if entry.text != "." && entry.text != ".." { entries.append(entry) }
            }
            return entries
        }
    }

    /// All entries of a directory but `.` and `..`.
    package static func list(_ path: Path) throws -> [Listed] {
        let stream = try Stream(path)
        defer { stream.close() }
        return try stream.rest()
    }
}
