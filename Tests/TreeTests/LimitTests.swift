import Accounting
import Basics
import Storage
import Support
import Testing
import Tree

@Suite("A tree whose limits move")
struct LimitTests {
    private static func tree(bytes: Int, nodes: Int? = nil) throws -> Tree {
        try Tree(TreeConfiguration(limits: Limits(bytes: bytes, nodes: nodes)))
    }

    private func make(_ name: String, in tree: Tree) throws -> NodeID {
        let caller = Caller(user: 0, group: 0, process: 0)
        return try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            try tree.create(name, in: .root, mode: 0o600, exclusive: true, by: caller).node
        }
    }

    private func write(_ mebibytes: Int, to file: NodeID, in tree: Tree) throws {
        let bytes = [UInt8](repeating: 1, count: 1 << 20)
        for index in 0..<mebibytes {
            _ = try bytes.withRawSpan { (bytes) throws(Errno) in
                try tree.write(bytes, to: file, at: Int64(index) << 20, droppingPrivileges: false)
            }
        }
    }

    @Test("it grows, shrinks to what is in use and not below, and statistics follow")
    func moves() throws {
        let tree = try Self.tree(bytes: 4 << 20)
        let file = try make("a", in: tree)
        #expect(throws: Errno.noSpace) { try write(5, to: file, in: tree) }
        try tree.setLimits(bytes: 8 << 20, nodes: nil, draining: false)
        #expect(try tree.statistics(of: .root).blocks == (8 << 20) / 4096)
        try write(5, to: file, in: tree)
        let used = tree.usage.usedBytes
        #expect(throws: Tree.ResizeRefusal.bytesBelowUse(usedBytes: used)) {
            try tree.setLimits(bytes: used - 1, nodes: nil, draining: false)
        }
        #expect(tree.usage.limitBytes == 8 << 20)
        try tree.setLimits(bytes: used, nodes: nil, draining: false)
        #expect(try tree.statistics(of: .root).freeBlocks == 0)
        // At 100 % full what is there can be written over.
        try write(5, to: file, in: tree)
        tree.checkInvariants()
    }

    /// Rule: using.statfs
    @Test(
        "what is said to be available can be written as one file, and little more",
        arguments: [StoragePolicy.Kind.auto, .sequential, .randomAccess],
        [1 << 20, 9 << 20, (40 << 20) + 4096])
    func available(kind: StoragePolicy.Kind, bytes: Int) throws {
        var configuration = TreeConfiguration(limits: Limits(bytes: bytes))
        configuration.storage.kind = kind
        let tree = try Tree(configuration)
        let available = Int(try tree.statistics(of: .root).availableBlocks) * 4096
        #expect(available <= bytes && available > bytes - bytes / 256 - (48 << 10))
        let file = try make("f", in: tree)
        if kind == .randomAccess {
            try tree.allocate(file, mode: [], offset: 0, count: Int64(available))
        } else {
            let content = [UInt8](repeating: 1, count: 1 << 20)
            for start in stride(from: 0, to: available, by: content.count) {
                _ = try Array(content.prefix(available - start)).withRawSpan {
                    (bytes) throws(Errno) in
                    try tree.write(bytes, to: file, at: Int64(start), droppingPrivileges: false)
                }
            }
        }
        #expect(try tree.attributes(of: file).size == Int64(available))
        tree.checkInvariants()
    }

    @Test("what is refused ends no node: nobody tries again since there could be room now")
    func refusalsEndNothing() throws {
        let tree = try Self.tree(bytes: 1 << 20)
        _ = try make("a", in: tree)
        let used = tree.usage.usedBytes
        let longName = [UInt8](repeating: 0x6e, count: 255)
        var refused = 0
        for room in stride(from: 0, to: 600, by: 20) {
            try tree.setLimits(bytes: used + room, nodes: nil, draining: false)
            do throws(Errno) {
                try Array("a".utf8).withRawSpan { (name) throws(Errno) in
                    try longName.withRawSpan { (newName) throws(Errno) in
                        try tree.rename(
                            name, in: .root, to: newName, in: .root, flags: .whiteout,
                            by: Caller(user: 0, group: 0, process: 0))
                    }
                }
                break
            } catch {
                #expect(error == .noSpace)
                refused += 1
            }
            #expect(tree.usage.usedBytes == used && tree.endedNodes == 0)
        }
        // Some of them had made the whiteout before the name did not fit.
        #expect(refused > 10)
        tree.checkInvariants()
    }

    @Test("both limits change, or none")
    func together() throws {
        let tree = try Self.tree(bytes: 4 << 20, nodes: 10)
        _ = try make("a", in: tree)
        #expect(throws: Tree.ResizeRefusal.nodesBelowUse(usedNodes: 2)) {
            try tree.setLimits(bytes: 8 << 20, nodes: 1, draining: false)
        }
        #expect(tree.usage.limitBytes == 4 << 20 && tree.usage.maxNodes == 10)
        try tree.setLimits(bytes: 8 << 20, nodes: 2, draining: false)
        #expect(throws: Errno.tooManyOpenFiles) { _ = try make("b", in: tree) }
    }

    @Test("while it drains nothing grows, what is used is told as it is, and deletion ends it")
    func drains() throws {
        let tree = try Self.tree(bytes: 16 << 20)
        let file = try make("a", in: tree)
        try write(10, to: file, in: tree)
        try tree.setLimits(bytes: 1 << 20, nodes: nil, draining: true)
        let usage = tree.usage
        #expect(usage.usedBytes > 10 << 20 && usage.usedBytes == usage.dataBytes + usage.metadataBytes)
        #expect(usage.metadataBytes > 0)
        #expect(try tree.statistics(of: .root).availableBlocks == 0)
        #expect(throws: Errno.noSpace) { _ = try make("b", in: tree) }
        try write(10, to: file, in: tree)
        try Array("a".utf8).withRawSpan { (name) throws(Errno) in try tree.unlink(name, in: .root) }
        tree.forget(file, count: 1)
        _ = try make("b", in: tree)
        #expect(tree.usage.usedBytes < 1 << 20)
        tree.checkInvariants()
    }

    @Test("it cannot grow beyond what there are addresses for")
    func addresses() throws {
        let tree = try Self.tree(bytes: 1 << 20)
        try tree.setLimits(bytes: 1 << 34, nodes: nil, draining: false)
        #expect(throws: Tree.ResizeRefusal.bytesBeyondAddresses(largestBytes: 1 << 34)) {
            try tree.setLimits(bytes: (1 << 34) + 1, nodes: nil, draining: true)
        }
    }
}
