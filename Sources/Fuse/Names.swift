import Basics
import Glibc

/// The longest name of a file or of an extended attribute, in bytes.
private let longestName = 255
/// The longest target of a symlink, in bytes: PATH_MAX less the NUL.
private let longestTarget = 4095

/// The bytes of a name that a directory may hold, without the NUL. All names of files pass here.
///
/// Throws `.fileNameTooLong` above 255 bytes, `.invalidArgument` for an empty name, for `.` and `..`, and for
/// a name with a `/`. The kernel sends none of the latter; nothing further in has to think of them.
@unsafe func fileName(_ name: UnsafePointer<CChar>) throws(Errno) -> UnsafeRawBufferPointer {
    let bytes = try unsafe terminated(name, atMost: longestName)
    if bytes.count <= 2 {
        guard unsafe bytes.contains(where: { $0 != UInt8(ascii: ".") }) else { throw .invalidArgument }
    }
    guard unsafe memchr(name, Int32(UInt8(ascii: "/")), bytes.count) == nil else { throw .invalidArgument }
    return unsafe bytes
}

/// The bytes of the name of an extended attribute, without the NUL. Throws as setxattr(2) does.
@unsafe func attributeName(_ name: UnsafePointer<CChar>) throws(Errno) -> UnsafeRawBufferPointer {
    let bytes = try unsafe terminated(name, atMost: longestName, orThrow: .outOfRange)
    guard bytes.count > 0 else { throw .outOfRange }
    return unsafe bytes
}

/// The bytes of the target of a symlink, without the NUL. Throws `.fileNameTooLong` and, when empty,
/// `.noSuchFileOrDirectory`.
@unsafe func symlinkTarget(_ target: UnsafePointer<CChar>) throws(Errno) -> UnsafeRawBufferPointer {
    let bytes = try unsafe terminated(target, atMost: longestTarget)
    guard bytes.count > 0 else { throw .noSuchFileOrDirectory }
    return unsafe bytes
}

@unsafe private func terminated(
    _ string: UnsafePointer<CChar>, atMost limit: Int, orThrow error: Errno = .fileNameTooLong
) throws(Errno) -> UnsafeRawBufferPointer {
    let count = unsafe strnlen(string, limit + 1)
    guard count <= limit else { throw error }
    return unsafe UnsafeRawBufferPointer(start: string, count: count)
}
