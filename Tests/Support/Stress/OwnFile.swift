import Basics
import CLinux
import Glibc

/// A file that one thread has to itself, in directories that it shares: every byte of it is known.
struct OwnFile {
    private let name: String
    private var path: Path
    private var content: [UInt8] = []
    private var isThere = false

    private static let largestBytes = 100_000

    init(named name: String, in folder: Path) {
        self.name = name
        path = folder / name
    }

    /// Does something to the file, and now and then reads it all. Returns what was not as it should be.
    mutating func step(_ random: inout Generator, _ folders: [Path]) throws -> String? {
        switch random.below(20) {
        case 0:
            guard isThere else { return nil }
            try Kernel.unlink(path)
            (isThere, content) = (false, [])
        case 1, 2:
            let target = random.pick(folders) / name
            guard isThere, target != path else { return nil }
            try Kernel.rename(path, target)
            path = target
        case 3...7: return try check(direct: random.chance(50))
        default: try change(&random)
        }
        return nil
    }

    /// A refused change must have changed nothing: what follows it finds out.
    private mutating func change(_ random: inout Generator) throws {
        let fd = try Kernel.open(path, O_RDWR | (isThere ? 0 : O_CREAT | O_EXCL))
        isThere = true
        defer { _ = Glibc.close(fd) }
        let offset = random.below(Self.largestBytes)
        let count = 1 + random.below(20_000)
        switch random.below(10) {
        case 0:
            try Kernel.truncate(fd, offset)
            resize(to: offset)
        case 1:
            try Kernel.fallocate(fd, linux_falloc_punch_hole | linux_falloc_keep_size, offset, count)
            erase(offset, count)
        case 2:
            try Kernel.fallocate(fd, linux_falloc_zero_range, offset, count)
            grow(to: offset + count)
            erase(offset, count)
        case 3:
            try Kernel.fallocate(fd, 0, offset, count)
            grow(to: offset + count)
        case 4:
            // Behind everything that may be read, so that source and target do not overlap.
            let copied = try Kernel.copyRange(fd, at: 0, fd, at: 2 * Self.largestBytes, count)
            put(Array(content.prefix(copied)), at: 2 * Self.largestBytes)
        default:
            let place = random.chance(50) ? content.count % Self.largestBytes : offset
            let bytes = random.bytes(count)
            let taken = try Kernel.write(fd, bytes, at: place)
            put(Array(bytes.prefix(taken)), at: place)
        }
    }

    private func check(direct: Bool) throws -> String? {
        guard isThere else { return nil }
        let fd = try Kernel.open(path, O_RDONLY | (direct ? linux_o_direct : 0))
        defer { _ = Glibc.close(fd) }
        let found = try Kernel.read(fd, at: 0, content.count + 1)
        if found == content { return nil }
        let place = zip(found, content).enumerated().first { $0.element.0 != $0.element.1 }?.offset
        return "\(path): \(found.count) bytes for \(content.count), first other at \(place ?? -1)"
    }

    private mutating func resize(to size: Int) {
        if size < content.count { content.removeLast(content.count - size) }
        grow(to: size)
    }

    private mutating func grow(to size: Int) {
        if size > content.count { content += [UInt8](repeating: 0, count: size - content.count) }
    }

    private mutating func erase(_ offset: Int, _ count: Int) {
        let end = min(offset + count, content.count)
        for place in min(offset, end)..<end { content[place] = 0 }
    }

    private mutating func put(_ bytes: [UInt8], at offset: Int) {
        if bytes.isEmpty { return }
        grow(to: offset + bytes.count)
        content.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
}
