import Accounting
import Basics
import Glibc
import Storage
import Support
import Tree

/// Random operations on a bare tree under random limits. After each, what is charged is within the limit and
/// nothing is set aside any more; now and then the whole tree is walked and added up.
struct RandomOperations {
    private let tree: Tree
    private var random: Generator
    private var folders: [NodeID] = [.root]
    private var open: [NodeID] = []
    private var refusals = 0

    static func run(steps: Int, isBacked: Bool) throws {
        let rounds = 20
        var refusals = 0
        for round in 0..<rounds {
            let seed = Generator.seed(usual: UInt64(round) + 100)
            var operations = try RandomOperations(seed: seed, isBacked: isBacked)
            do {
                for step in 0..<steps / rounds { try operations.step(step) }
            } catch {
                print("seed \(seed): \(error)")
                exit(1)
            }
            operations.tree.checkInvariants()
            refusals += operations.refusals
        }
        let place = isBacked ? " on a private tmpfs" : ""
        print(
            "\(steps) random operations\(place) under \(rounds) random limits, \(refusals) of them refused: "
                + "charges stay within the limit after each")
    }

    private init(seed: UInt64, isBacked: Bool) throws {
        random = Generator(seed: seed)
        let bytes = (64 << 10) << random.below(9)
        var storage = StoragePolicy(kind: random.chance(70) ? .auto : .randomAccess)
        storage.keptFreeBytes = random.below(8 << 20)
        let nodes = random.chance(30) ? 10 + random.below(1000) : nil
        var configuration = TreeConfiguration(limits: Limits(bytes: bytes, nodes: nodes), storage: storage)
        if isBacked { configuration.tmpfs = try PrivateTmpfs(bytes: bytes, descriptors: 64) }
        tree = try Tree(configuration)
    }

    private mutating func step(_ number: Int) throws {
        do throws(Errno) {
            try operate()
        } catch {
            let allowed: [Errno] = [
                .noSpace, .tooManyOpenFiles, .fileExists, .noSuchFileOrDirectory, .notDirectory, .isDirectory,
                .directoryNotEmpty, .invalidArgument, .staleNFSFileHandle, .notPermitted, .noData,
            ]
            guard allowed.contains(error) else { throw error }
            if error == .noSpace || error == .tooManyOpenFiles { refusals += 1 }
        }
        let usage = tree.usage
        guard usage.chargedBytes <= usage.limitBytes, usage.reservedBytes == 0, usage.dataBytes >= 0,
            usage.usedBytes <= usage.limitBytes, usage.usedBytes >= min(usage.chargedBytes, usage.limitBytes)
        else { throw Damage(description: "after operation \(number): \(usage)") }
        if number % 5000 == 0 { tree.checkInvariants() }
    }

    private mutating func operate() throws(Errno) {
        let folder = random.pick(folders)
        let name =
            BareTree.name(random.below(200)).prefix(2 + random.below(10)) + [UInt8(random.below(26)) + 97]
        switch random.below(100) {
        case 0..<25: try make(Array(name), in: folder)
        case 25..<60: try changeContents()
        case 60..<70: try changeXattrs()
        case 70..<80: try tree.remove(Array(name), from: folder)
        case 80..<88: try move(Array(name), in: folder)
        case 88..<97: forget()
        default: try resize()
        }
    }

    private mutating func make(_ name: [UInt8], in folder: NodeID) throws(Errno) {
        let caller = BareTree.caller
        let kind = random.below(10)
        let target = Patterns.stamp(kind, 1 + random.below(3000))
        let tree = tree
        let entry = try name.withRawSpan { (name) throws(Errno) -> Entry in
            switch kind {
            case 0: return try tree.makeDirectory(name, in: folder, mode: 0o755, by: caller)
            case 1:
                return try target.withRawSpan { (target) throws(Errno) in
                    try tree.makeSymlink(name, in: folder, to: target, by: caller)
                }
            case 2: return try tree.makeTemporary(in: folder, mode: 0o644, by: caller)
            default: return try tree.create(name, in: folder, mode: 0o644, exclusive: false, by: caller)
            }
        }
        if kind == 0, folders.count < 50 { folders.append(entry.node) }
        open.append(entry.node)
    }

    private mutating func changeContents() throws(Errno) {
        guard !open.isEmpty else { return }
        let node = random.pick(open)
        let offset = Int64(random.chance(80) ? random.below(100_000) : random.below(1 << 40))
        let count = 1 + random.below(random.chance(90) ? 9000 : 300_000)
        switch random.below(10) {
        case 0:
            var changes = AttributeChanges()
            changes.size = offset
            _ = try tree.setAttributes(changes, of: node)
        case 1:
            let mode: AllocationMode = random.pick([[], .keepSize, .zeroRange, [.punchHole, .keepSize]])
            try tree.allocate(node, mode: mode, offset: offset, count: Int64(count))
        case 2:
            let target = random.pick(open)
            _ = try tree.copyRange(from: node, at: 0, to: target, at: offset, count: count)
        default:
            let size = try tree.attributes(of: node).size
            let place = random.chance(60) ? size : offset
            _ = try Patterns.stamp(count, count).withRawSpan { (bytes) throws(Errno) in
                try tree.write(bytes, to: node, at: min(place, 1 << 50), droppingPrivileges: true)
            }
        }
    }

    private mutating func changeXattrs() throws(Errno) {
        guard !open.isEmpty else { return }
        let node = random.pick(open)
        let xattr = Array("user.\(random.below(4))".utf8)
        let value = Patterns.stamp(1, random.below(random.chance(90) ? 500 : 65_000))
        let isRemoval = random.chance(30)
        let tree = tree
        try xattr.withRawSpan { (name) throws(Errno) in
            if isRemoval { return try tree.removeExtendedAttribute(name, of: node, by: BareTree.caller) }
            try value.withRawSpan { (value) throws(Errno) in
                try tree.setExtendedAttribute(name, of: node, to: value, [], by: BareTree.caller)
            }
        }
    }

    private mutating func move(_ name: [UInt8], in folder: NodeID) throws(Errno) {
        let target = random.pick(folders)
        let newName = BareTree.name(random.below(200))
        let flags: RenameFlags = random.pick([[], [], .noReplace, .exchange, .whiteout])
        let linked = open.isEmpty ? nil : random.pick(open)
        let isLink = random.chance(30)
        let tree = tree
        try newName.withRawSpan { (newName) throws(Errno) in
            if isLink, let linked {
                return tree.forget(try tree.link(linked, as: newName, in: target).node, count: 1)
            }
            try name.withRawSpan { (name) throws(Errno) in
                try tree.rename(
                    name, in: folder, to: newName, in: target, flags: flags, by: BareTree.caller)
            }
        }
    }

    private mutating func forget() {
        guard open.count > 100 || random.chance(20), !open.isEmpty else { return }
        for _ in 0..<min(open.count, 1 + random.below(20)) {
            let index = random.below(open.count)
            let node = open[index]
            open.swapAt(index, open.count - 1)
            open.removeLast()
            // A folder stays known, and so is never forgotten.
            if !folders.contains(node) { tree.forget(node, count: 1) }
        }
    }

    /// Up and down again; below what is used the tree must refuse.
    private mutating func resize() throws(Errno) {
        let bytes = max(64 << 10, tree.usage.limitBytes / 2 + random.below(tree.usage.limitBytes))
        do {
            try tree.setLimits(bytes: min(bytes, 64 << 20), nodes: nil, draining: false)
        } catch {
            return
        }
    }
}
