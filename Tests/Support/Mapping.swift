import Basics
import Glibc

/// Mapped memory: of a file, or of nobody.
@safe package final class Mapping {
    private let start: UnsafeMutableRawPointer
    package let count: Int

    /// Memory of no file, aligned as O_DIRECT wants it.
    package init(bytes: Int) throws {
        let found = unsafe mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        unsafe start = try Self.checked(found)
        count = bytes
    }

    package init(_ fd: Int32, bytes: Int, shared: Bool, writable: Bool = true, offset: Int = 0) throws {
        let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
        let found = unsafe mmap(nil, bytes, protection, shared ? MAP_SHARED : MAP_PRIVATE, fd, offset)
        unsafe start = try Self.checked(found)
        count = bytes
    }

    deinit {
        unsafe munmap(start, count)
    }

    package subscript(index: Int) -> UInt8 {
        get {
            precondition(index >= 0 && index < count, "inside the mapping")
            return unsafe start.load(fromByteOffset: index, as: UInt8.self)
        }
        set {
            precondition(index >= 0 && index < count, "inside the mapping")
            unsafe start.storeBytes(of: newValue, toByteOffset: index, as: UInt8.self)
        }
    }

    package func bytes(_ range: Range<Int>) -> [UInt8] { range.map { self[$0] } }

    package func store(_ bytes: [UInt8], at offset: Int) {
        for (index, byte) in bytes.enumerated() { self[offset + index] = byte }
    }

    package func sync() throws {
        try Kernel.call { unsafe msync(start, count, Int32(MS_SYNC)) }
    }

    /// Reads a file into the memory. Into a mapping that cannot be touched this is EFAULT, where a plain
    /// access
    /// would be the signal SIGBUS.
    package func fill(from fd: Int32, at offset: Int, into place: Int = 0, count: Int? = nil) throws -> Int {
        try Kernel.call { unsafe pread(fd, start + place, count ?? self.count - place, offset) }
    }

    package func store(to fd: Int32, at offset: Int) throws -> Int {
        try Kernel.call { unsafe pwrite(fd, start, count, offset) }
    }

    private static func checked(_ found: UnsafeMutableRawPointer?) throws -> UnsafeMutableRawPointer {
        guard let found = unsafe found, unsafe found != MAP_FAILED else { throw Errno(rawValue: errno) }
        return unsafe found
    }
}
