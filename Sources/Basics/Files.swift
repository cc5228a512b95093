import CLinux
import Glibc

/// Small files, links and folders of the host, read and made by name. Nothing here is on a request's path.
public enum Files {
    /// The whole of a small file, as of /proc or /sys; what is past `limit` bytes is left out.
    public static func contents(of path: String, limit: Int = 4 << 20) throws(Errno) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while bytes.count < limit {
            let part = try read(descriptor, upTo: 64 << 10)
            if part.isEmpty { break }
            bytes += part
        }
        return bytes
    }

    /// The same as text; what is not UTF-8 is replaced.
    public static func text(of path: String) throws(Errno) -> String {
        String(decoding: try contents(of: path), as: UTF8.self)
    }

    /// The lines of a small file; none where it cannot be read.
    public static func lines(of path: String) -> [Substring] {
        do throws(Errno) {
            return try text(of: path).split(separator: "\n")
        } catch {
            return []
        }
    }

    /// The first line of a small file; nil where there is none.
    public static func firstLine(of path: String) -> String? {
        lines(of: path).first.map { String($0) }
    }

    /// Up to `count` bytes from `descriptor`; empty at the end.
    public static func read(_ descriptor: Int32, upTo count: Int) throws(Errno) -> [UInt8] {
        while true {
            var failure: Int32 = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                let taken = unsafe Glibc.read(descriptor, buffer.baseAddress, count)
                failure = taken < 0 ? errno : 0
                filled = max(0, taken)
            }
            if failure == 0 { return bytes }
            guard failure == EINTR else { throw Errno(rawValue: failure) }
        }
    }

    /// Writes all of `bytes`.
    public static func write(_ bytes: [UInt8], to descriptor: Int32) throws(Errno) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let taken = unsafe rest.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if taken >= 0 {
                rest = rest.dropFirst(taken)
            } else if errno != EINTR {
                throw Errno(rawValue: errno)
            }
        }
    }

    /// One line to the standard error; where nobody can read it there is nobody to tell.
    public static func complain(_ line: String) {
        do throws(Errno) {
            try write(Array("\(line)\n".utf8), to: STDERR_FILENO)
        } catch {
            return
        }
    }

    /// Where a symbolic link leads, as it is written in the link; EINVAL for what is none.
    public static func link(_ path: String) throws(Errno) -> String {
        var failure: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, filled in
            let taken = unsafe buffer.withMemoryRebound(to: CChar.self) { characters -> Int in
                guard let start = characters.baseAddress else { return -1 }
                return unsafe readlink(path, start, characters.count)
            }
            failure = taken < 0 ? errno : 0
            filled = max(0, taken)
        }
        guard failure == 0 else { throw Errno(rawValue: failure) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The absolute path without links of something that is there.
    public static func resolved(_ path: String) throws(Errno) -> String {
        guard let name = unsafe realpath(path, nil) else { throw Errno(rawValue: errno) }
        defer { unsafe free(name) }
        return unsafe String(cString: name)
    }

    /// The names in a folder without `.` and `..`; at most `limit` of them.
    public static func names(in path: String, limit: Int = .max) throws(Errno) -> [String] {
        guard let folder = unsafe opendir(path) else { throw Errno(rawValue: errno) }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while names.count < limit, let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// What is at `path`, links not followed, and whose it is.
    public static func status(of path: String) throws(Errno) -> (kind: FileKind?, owner: UInt32) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { throw Errno(rawValue: errno) }
        return (FileKind(mode: status.st_mode), status.st_uid)
    }

    /// The inode number of what is at `path`, links not followed; nil where nothing is to be seen.
    public static func number(of path: String) -> UInt64? {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    /// Whether this process may write to `path`, or, of a folder, into it.
    public static func isWritable(_ path: String) -> Bool {
        unsafe access(path, W_OK) == 0
    }

    /// Whether `path` is a file that this process may run.
    public static func isExecutable(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && FileKind(mode: status.st_mode) == .regular
            && access(path, X_OK) == 0
    }

    /// Opens `path` for writing, made where it is missing and emptied where it is there. The caller closes.
    public static func create(_ path: String) throws(Errno) -> Int32 {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        return descriptor
    }

    /// Puts a file with these contents at `path`, in the place of what may be there, mode 0644. Who reads it
    /// sees the old contents or the new ones, whatever happens meanwhile.
    public static func replace(_ path: String, with contents: [UInt8]) throws(Errno) {
        var name = Array("\(path).\(String(repeating: "X", count: 6))".utf8CString)
        var descriptor: Int32 = -1
        let failure = unsafe name.withUnsafeMutableBufferPointer { buffer -> Int32 in
            guard let start = buffer.baseAddress else { return EINVAL }
            descriptor = unsafe mkstemp(start)
            return descriptor < 0 ? errno : 0
        }
        try Errno.check(failure)
        defer { close(descriptor) }
        let temporary = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        do throws(Errno) {
            try write(contents, to: descriptor)
            guard fchmod(descriptor, 0o644) == 0, fsync(descriptor) == 0,
                unsafe rename(temporary, path) == 0
            else { throw Errno(rawValue: errno) }
        } catch {
            unsafe unlink(temporary)
            throw error
        }
    }

    public static func makeFolder(_ path: String, mode: UInt32) throws(Errno) {
        guard unsafe mkdir(path, mode) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Makes a folder for this user alone in `parent`, its name `name`, a dot and six letters; returns its
    /// path.
    public static func makeTemporaryFolder(in parent: String, named name: String) throws(Errno) -> String {
        var path = Array("\(parent)/\(name).\(String(repeating: "X", count: 6))".utf8CString)
        let failure = unsafe path.withUnsafeMutableBufferPointer { buffer -> Int32 in
            guard let start = buffer.baseAddress else { return EINVAL }
            return unsafe mkdtemp(start) == nil ? errno : 0
        }
        try Errno.check(failure)
        return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public static func removeFolder(_ path: String) throws(Errno) {
        guard unsafe rmdir(path) == 0 else { throw Errno(rawValue: errno) }
    }

    public static func remove(_ path: String) throws(Errno) {
        guard unsafe unlink(path) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Whether this process may open `path` for reading and writing; throws why not.
    public static func checkOpens(_ path: String) throws(Errno) {
        let descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        close(descriptor)
    }

    /// Writes to a file that is there, as of /proc or /sys.
    public static func overwrite(_ path: String, with text: String) throws(Errno) {
        let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        try write(Array(text.utf8), to: descriptor)
    }

    /// umount2(2). `flags` are its own.
    public static func unmount(_ path: String, flags: Int32) throws(Errno) {
        guard unsafe umount2(path, flags) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Asks the filesystem at `path` past every cache; throws `.socketNotConnected` (ENOTCONN) where its
    /// daemon is dead.
    public static func probeMount(_ path: String) throws(Errno) {
        try Errno.check(unsafe linux_probe_mount(path))
    }

    public static func workingFolder() throws(Errno) -> String {
        guard let name = unsafe getcwd(nil, 0) else { throw Errno(rawValue: errno) }
        defer { unsafe free(name) }
        return unsafe String(cString: name)
    }

    /// A variable of the environment; nil where it is not set or empty.
    public static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// What an open file is, as systemd writes it in `JOURNAL_STREAM`: `device:inode`.
    public static func identity(of descriptor: Int32) -> String {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return "" }
        return "\(status.st_dev):\(status.st_ino)"
    }

    /// Milliseconds of the monotonic clock.
    public static func monotonicMilliseconds() -> Int {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }

    /// The same clock as of its last tick: some milliseconds late, for a few nanoseconds. For requests, and
    /// not to be mixed with the exact one.
    public static func coarseMilliseconds() -> Int {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
        return now.tv_sec &* 1000 &+ now.tv_nsec / 1_000_000
    }
}

extension Files {
    /// Whether `path` is the character device of these numbers.
    public static func isDevice(_ path: String, major: UInt32, minor: UInt32) throws(Errno) -> Bool {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw Errno(rawValue: errno) }
        let number = UInt(major) << 8 | UInt(minor)
        return FileKind(mode: status.st_mode) == .characterDevice && status.st_rdev == number
    }
}
