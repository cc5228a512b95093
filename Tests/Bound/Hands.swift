import Basics
import CLinux
import Glibc
import Support

/// The plain system calls that the patterns make below a mount, one thread's worth of them.
struct Hands {
    let path: Path
    private let root: Int32

    init(below path: Path) throws {
        self.path = path
        root = try Kernel.open(path, O_RDONLY | O_DIRECTORY)
    }

    func done() { _ = Glibc.close(root) }

    func makeFile(_ name: String) throws {
        try Kernel.call { unsafe mknodat(root, name, S_IFREG | 0o644, 0) }
    }

    func makeDirectory(_ name: String) throws {
        try Kernel.call { unsafe mkdirat(root, name, 0o755) }
    }

    /// Makes something in a folder, and the folder where it is missing.
    func inFolder(_ folder: String, _ make: () throws -> Void) throws {
        do {
            try make()
        } catch Errno.noSuchFileOrDirectory {
            do { try makeDirectory(folder) } catch Errno.fileExists {}
            try make()
        }
    }

    func open(_ name: String, _ flags: Int32) throws -> Int32 {
        try Kernel.call { unsafe openat(root, name, flags | O_CLOEXEC, 0o644) }
    }

    func remove(_ name: String) throws {
        try Kernel.call { unsafe unlinkat(root, name, 0) }
    }

    func removeDirectory(_ name: String) throws {
        try Kernel.call { unsafe unlinkat(root, name, AT_REMOVEDIR) }
    }

    func size(of name: String) throws -> Int {
        var found = stat()
        try Kernel.call { unsafe fstatat(root, name, &found, AT_SYMLINK_NOFOLLOW) }
        return found.st_size
    }

    /// Writes all of `bytes`, or throws. What was taken of a write that was cut short stays.
    func write(_ file: Int32, _ bytes: [UInt8], at offset: Int) throws {
        if try Kernel.write(file, bytes, at: offset) != bytes.count { throw Errno.noSpace }
    }

    /// Makes a file of these bytes, or none.
    func store(_ name: String, _ bytes: [UInt8], pieceBytes: Int = 128 << 10) throws {
        let file = try open(name, O_CREAT | O_EXCL | O_WRONLY)
        do {
            var done = 0
            while done < bytes.count {
                let end = min(done + pieceBytes, bytes.count)
                let piece = done == 0 && end == bytes.count ? bytes : Array(bytes[done..<end])
                try write(file, piece, at: done)
                done = end
            }
            try Kernel.close(file)
        } catch {
            _ = Glibc.close(file)
            try remove(name)
            throw error
        }
    }

    func contents(of name: String, _ count: Int) throws -> [UInt8] {
        let file = try open(name, O_RDONLY)
        defer { _ = Glibc.close(file) }
        return try Kernel.read(file, at: 0, count + 1)
    }

    func setAttribute(_ attribute: String, of name: String, to value: [UInt8]) throws {
        try Kernel.call {
            unsafe value.withUnsafeBytes { bytes in
                unsafe linux_setxattr("\(path)/\(name)", attribute, bytes.baseAddress, bytes.count, 0)
            }
        }
    }

    func attribute(_ attribute: String, of name: String) throws -> [UInt8] {
        let capacity = 64 << 10
        var count = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { room, used in
            unsafe count = linux_getxattr("\(path)/\(name)", attribute, room.baseAddress, capacity)
            used = max(count, 0)
        }
        if count < 0 { throw Errno(rawValue: errno) }
        return bytes
    }

    /// Removes what is left at the top of the mount: empty folders and files.
    func removeTop() throws {
        for entry in try Kernel.list(path) {
            if entry.type == 4 {
                try removeDirectory(entry.text)
            } else {
                try remove(entry.text)
            }
        }
    }
}
