import Basics

/// What hostile requests are made of: fields that are often sensible, often extreme, and often noise.
package struct HostileDice {
    var random: Generator
    /// Nodes that the tree has spoken of, some of which have ended since.
    private var known: [UInt64] = [1]
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
        case .lookup, .create, .mkdir, .mknod, .symlink, .link, .tmpfile: learn(answer.entry.node)
        case .readdirplus:
            for entry in WireDirectoryEntry.list(answer.payload, plus: true) {
                if let node = entry.entry?.node { learn(node) }
            }
        default: break
        }
    }

    private mutating func learn(_ node: UInt64) {
        // A missing name is answered with the node 0.
        guard node != 0, everSeen.insert(node).inserted else { return }
        if known.count < 200 { known.append(node) } else { known[1 + random.below(199)] = node }
    }

    /// A node's ID: mostly one that there was, now and then with a generation that never was, or anything.
    mutating func node() -> UInt64 {
        let node = random.pick(known)
        switch random.below(20) {
        case 0: return node ^ 1 << (32 + UInt64(random.below(32)))
        case 1: return node &+ UInt64(random.below(100))
        case 2: return random.pick([0, .max, 1 << 63, 0xffff_ffff, 1 << 32, random.next()])
        case 3, 4, 5: return 1
        default: return node
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
        default: name = random.bytes(length)
        }
        return name + [0]
    }

    mutating func xattrName() -> [UInt8] {
        let spaces = ["user.", "user.", "user.", "security.", "trusted.", "system.", "USER.", ""]
        return Array(random.pick(spaces).utf8) + name()
    }

    mutating func offset() -> UInt64 {
        switch random.below(8) {
        case 0: return random.pick([0, 1, 4095, 4096, 65536])
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

    mutating func noise(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count { bytes.put(word()) }
        return Array(bytes.prefix(count))
    }
}
