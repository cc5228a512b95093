import Basics

/// What hostile requests are made of: fields that are often sensible, often extreme, and often noise.
package struct HostileDice {
    var random: Generator
    // Nodes that the tree has spoken of, some of which have ended since.
    private var folders: [UInt64] = [1]
    private var files: [UInt64] = [1]
    private var others: [UInt64] = [1]
    private(set) var everSeen: Set<UInt64> = [1]

    init(_ random: Generator) { self.random = random }

    /// Every operation; the first of them come several times, so that there is something to be hostile to.
    static let mix: [Opcode] =
        Opcode.allCases + makers + makers + makers + [.write, .write, .setattr, .fallocate, .rename2]
    private static let makers: [Opcode] = [
        .create, .mkdir, .mknod, .symlink, .lookup, .link, .write, .unlink, .readdirplus, .setxattr,
    ]

    mutating func learn(from answer: Answer, to opcode: Opcode) {
        switch opcode {
        case .lookup, .create, .mkdir, .mknod, .symlink, .link, .tmpfile: learn(answer.entry)
        case .readdirplus:
            for entry in WireDirectoryEntry.list(answer.payload, plus: true) {
                if let entry = entry.entry { learn(entry) }
            }
        default: break
        }
    }

    private mutating func learn(_ entry: WireEntry) {
        // A missing name is answered with the node 0.
        guard entry.node != 0, everSeen.insert(entry.node).inserted else { return }
        let kind = entry.attributes.mode & 0o170000
        let list = kind == 0o040000 ? \Self.folders : kind == 0o100000 ? \Self.files : \Self.others
        if self[keyPath: list].count < 30 {
            self[keyPath: list].append(entry.node)
        } else {
            self[keyPath: list][1 + random.below(29)] = entry.node
        }
    }

    /// A directory, or now and then anything.
    mutating func folder() -> UInt64 { random.chance(80) ? random.pick(folders) : node() }

    /// A regular file, or now and then anything.
    mutating func file() -> UInt64 { random.chance(80) ? random.pick(files) : node() }

    /// A node's ID: mostly one that there was, now and then with a generation that never was, or anything.
    mutating func node() -> UInt64 {
        let node = random.pick(random.pick([folders, files, others]))
        switch random.below(12) {
        case 0: return node ^ 1 << (32 + UInt64(random.below(32)))
        case 1: return node &+ UInt64(random.below(100))
        case 2: return random.pick([0, .max, 1 << 63, 0xffff_ffff, 1 << 32, random.next()])
        case 3, 4: return 1
        default: return node
        }
    }

    /// The node in the header of a request.
    mutating func subject(of opcode: Opcode) -> UInt64 {
        switch opcode {
        case .batchForget: 0
        case .lookup, .symlink, .mknod, .mkdir, .unlink, .rmdir, .rename, .rename2, .link, .create, .tmpfile,
            .readdir, .readdirplus:
            folder()
        case .read, .write, .fallocate, .lseek, .copyFileRange, .setattr: file()
        default: node()
        }
    }

    /// A name and its NUL: mostly one of few, so that names meet; else one that no file can have.
    mutating func name() -> [UInt8] {
        if random.chance(75) { return Array("n\(random.below(30))".utf8) + [0] }
        let lengths = [0, 1, 2, 3, 10, 254, 255, 256, 257, 1000, 4095, 4096, 5000]
        let length = random.pick(lengths)
        let name: [UInt8]
        switch random.below(4) {
        case 0: name = [UInt8](repeating: 46, count: length)
        case 1: name = (0..<length).map { _ in random.chance(10) ? 47 : 97 }
        case 2: name = (0..<length).map { _ in random.chance(5) ? 0 : 255 }
        default: name = payload(length)
        }
        return name + [0]
    }

    mutating func xattrName() -> [UInt8] {
        let spaces = ["user.", "user.", "user.", "security.", "trusted.", "system.", "USER.", ""]
        return Array(random.pick(spaces).utf8) + name()
    }

    mutating func offset() -> UInt64 {
        switch random.below(9) {
        case 0: return random.pick([1, 4095, 4096, 65536])
        case 8: return 0
        case 1: return UInt64(Int64.max) - UInt64(random.below(1 << 13))
        case 2: return 1 << UInt64(random.below(64))
        case 3: return random.next()
        case 4: return UInt64(random.below(1 << 40))
        default: return UInt64(random.below(1 << 16))
        }
    }

    /// A number of 32 bits, as lengths and flags are.
    mutating func word() -> UInt32 {
        switch random.below(6) {
        case 0: return 0
        case 1: return random.pick([1 << 31, 1 << 31 - 1, .max, 1 << 20, 1 << 20 + 1])
        case 2: return 1 << UInt32(random.below(32))
        case 3: return UInt32(truncatingIfNeeded: random.next())
        default: return UInt32(random.below(1 << 14))
        }
    }

    mutating func flags(_ known: [UInt32]) -> UInt32 {
        random.chance(80) ? random.pick(known) : word()
    }

    /// Bytes to be written, up to 2 MiB of them.
    mutating func payload(_ count: Int) -> [UInt8] {
        let start = random.below(1 << 10)
        return Array(Self.bytes[start..<start + count])
    }

    private static let bytes: [UInt8] = {
        var random = Generator(seed: 1)
        return random.bytes((2 << 20) + (1 << 10))
    }()

    mutating func noise(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count { bytes.put(word()) }
        return Array(bytes.prefix(count))
    }
}
