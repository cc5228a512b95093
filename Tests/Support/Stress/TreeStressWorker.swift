import Accounting
import Basics
import Glibc
import Tree

/// What one thread of `TreeStress` does.
struct TreeStressWorker {
    private let stress: TreeStress
    private var tree: Tree { stress.tree }
    private var random: Generator
    /// Nodes that this thread has a lookup of.
    private var held: [NodeID] = []

    init(_ stress: TreeStress, seed: UInt64) {
        self.stress = stress
        random = Generator(seed: seed)
    }

    /// What may be refused or have gone while others are at work.
    private static let expected: Set<Int32> = [
        ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EINVAL, ENOSPC, EMFILE, ENODATA, ENXIO, EOPNOTSUPP,
    ]

    mutating func step() throws {
        do throws(Errno) {
            try operate()
        } catch {
            guard Self.expected.contains(error.rawValue) else { throw error }
        }
        if held.count > 20 { drop() }
    }

    mutating func finish() {
        while !held.isEmpty { drop() }
    }

    private mutating func drop() {
        tree.forget(held.remove(at: random.below(held.count)), count: 1)
    }

    private mutating func operate() throws(Errno) {
        let folder = stress.folder(&random)
        let name = Array("n\(random.below(12))".utf8)
        switch random.below(100) {
        case 0..<25: try make(name, in: folder)
        case 25..<35: try find(name, in: folder)
        case 35..<70: try use()
        case 70..<80: try tree.remove(name, from: folder)
        case 80..<93: try move(name, in: folder)
        case 93..<98: try list(folder)
        default: resize()
        }
    }

    private mutating func make(_ name: [UInt8], in folder: NodeID) throws(Errno) {
        let kind = random.below(12)
        let linked = held.isEmpty ? nil : random.pick(held)
        let (tree, caller) = (tree, TreeStress.caller)
        let entry = try name.withRawSpan { (name) throws(Errno) -> Entry in
            switch kind {
            case 0, 1: return try tree.makeDirectory(name, in: folder, mode: 0o755, by: caller)
            case 2:
                return try Array("target".utf8).withRawSpan { (target) throws(Errno) in
                    try tree.makeSymlink(name, in: folder, to: target, by: caller)
                }
            case 3: return try tree.makeTemporary(in: folder, mode: 0o600, by: caller)
            case 4, 5:
                guard let linked else { throw .noSuchFileOrDirectory }
                // The kernel links no directory, and no file that has lost its last name.
                let there = try tree.attributes(of: linked)
                guard there.mode & 0o170000 != 0o040000 else { throw .isDirectory }
                return try tree.link(linked, as: name, in: folder)
            default: return try tree.create(name, in: folder, mode: 0o644, exclusive: false, by: caller)
            }
        }
        held.append(entry.node)
    }

    private mutating func find(_ name: [UInt8], in folder: NodeID) throws(Errno) {
        let tree = tree
        let entry = try name.withRawSpan { (name) throws(Errno) in try tree.lookup(name, in: folder) }
        held.append(entry.node)
    }

    private mutating func move(_ name: [UInt8], in folder: NodeID) throws(Errno) {
        let target = stress.folder(&random)
        let newName = Array("n\(random.below(12))".utf8)
        let flags: RenameFlags = random.pick([[], [], .noReplace, .exchange, .whiteout])
        let tree = tree
        try name.withRawSpan { (name) throws(Errno) in
            try newName.withRawSpan { (newName) throws(Errno) in
                try tree.rename(
                    name, in: folder, to: newName, in: target, flags: flags, by: TreeStress.caller)
            }
        }
    }

    private mutating func list(_ folder: NodeID) throws(Errno) {
        var seen: [NodeID] = []
        var limit = 1 + random.below(20)
        try tree.list(folder, after: UInt64(random.below(4)), counting: true) { name, _, entry in
            limit -= 1
            if limit < 0 { return false }
            if name.byte(at: 0) != 46 { seen.append(entry.node) }
            return true
        }
        for node in seen { tree.forget(node, count: 1) }
    }

    /// The limit moves while others reserve. Whether it may is the tree's to say.
    private mutating func resize() {
        let bytes = (1 << 20) + random.below(8 << 20)
        do {
            try tree.setLimits(bytes: bytes, nodes: 30 + random.below(50), draining: false)
        } catch { return }
    }

    // MARK: Contents

    private mutating func use() throws(Errno) {
        guard !held.isEmpty else { return }
        let node = random.pick(held)
        let block = random.below(24)
        let offset = Int64(block * TreeStress.blockBytes)
        switch random.below(10) {
        case 0, 1, 2: try write(node, at: offset)
        case 3, 4: try read(node, at: offset)
        case 5:
            var changes = AttributeChanges()
            changes.size = offset
            _ = try tree.setAttributes(changes, of: node)
        case 6:
            let mode: AllocationMode = random.pick([[], .keepSize, .zeroRange, [.punchHole, .keepSize]])
            try tree.allocate(node, mode: mode, offset: offset, count: Int64(TreeStress.blockBytes * 2))
        case 7: try exchangeXattr(of: node)
        case 8:
            let target = random.pick(held)
            let count = TreeStress.blockBytes * (1 + random.below(4))
            _ = try tree.copyRange(from: node, at: offset, to: target, at: 0, count: count)
        default:
            _ = try tree.attributes(of: node)
            _ = try tree.seek(node, from: 0, to: .data)
        }
    }

    private mutating func write(_ node: NodeID, at offset: Int64) throws(Errno) {
        let count = TreeStress.blockBytes * (1 + random.below(4))
        let bytes = [UInt8](repeating: UInt8(1 + random.below(255)), count: count)
        let tree = tree
        _ = try bytes.withRawSpan { (bytes) throws(Errno) in
            try tree.write(bytes, to: node, at: offset, droppingPrivileges: true)
        }
    }

    /// Each whole block has one byte: a read sees a write, a truncation or a hole, and never a half.
    private func read(_ node: NodeID, at offset: Int64) throws(Errno) {
        var bytes: [UInt8] = []
        try tree.read(node, at: offset, count: TreeStress.blockBytes * 3) { bytes = $0.copied() }
        for start in stride(from: 0, to: bytes.count, by: TreeStress.blockBytes) {
            let block = bytes[start..<min(start + TreeStress.blockBytes, bytes.count)]
            guard block.allSatisfy({ $0 == block.first }) else { throw .ioError }
        }
    }

    private mutating func exchangeXattr(of node: NodeID) throws(Errno) {
        let name = Array("user.\(random.below(3))".utf8)
        let value = [UInt8](repeating: UInt8(random.below(256)), count: random.below(600))
        let isRemoval = random.chance(30)
        let (tree, caller) = (tree, TreeStress.caller)
        var found: [UInt8] = []
        try name.withRawSpan { (name) throws(Errno) in
            if isRemoval { return try tree.removeExtendedAttribute(name, of: node, by: caller) }
            try value.withRawSpan { (value) throws(Errno) in
                try tree.setExtendedAttribute(name, of: node, to: value, [], by: caller)
            }
            try tree.extendedAttribute(name, of: node, by: caller) { found = $0.copied() }
        }
        guard found.allSatisfy({ $0 == found.first }) else { throw .ioError }
    }
}
