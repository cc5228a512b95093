import Basics
import Testing
import Tree

@Suite("The walk over all nodes")
struct NodeWalkTests {
    private struct Met {
        var nodes: [FoundNode] = []
        var names: [String] = []

        mutating func add(_ node: FoundNode, _ name: RawSpan) {
            nodes.append(node)
            names.append(String(decoding: (0..<name.byteCount).map { name.byte(at: $0) }, as: UTF8.self))
        }

        var bytes: Int { nodes.reduce(0) { $0 + $1.bytes } }
    }

    @Test("each step is bounded, and all of them meet each name once and what has none")
    func steps() throws {
        let world = try QuotaWorld(bytes: 64 << 20)
        var folder = NodeID.root
        var names: Set<String> = [""]
        for depth in 0..<30 {
            for index in 0..<(depth == 20 ? 3000 : 3) {
                try world.write(depth * 100, to: world.file("f\(depth).\(index)", in: folder))
                names.insert("f\(depth).\(index)")
            }
            folder = try world.directory("d\(depth)", in: folder)
            names.insert("d\(depth)")
        }
        try world.write(100_000, to: world.file("kept", in: .root))
        try world.remove("f0.0", in: .root)
        names.remove("f0.0")
        let kept = try Array("kept".utf8).withRawSpan { (name) throws(Errno) in
            let node = try world.tree.lookup(name, in: .root).node
            try world.tree.unlink(name, in: .root)
            return node
        }
        var (walk, met, steps) = (NodeWalk(), Met(), 0)
        while world.tree.advance(&walk, { node, name in met.add(node, name) }) {
            steps += 1
            #expect(met.nodes.count <= steps * 256)
        }
        let usage = world.tree.usage
        #expect(Set(met.names) == names && met.names.count == names.count + 1, "the root, and what has none")
        #expect(met.bytes == usage.usedBytes && met.nodes.count == usage.nodes)
        let nameless = met.nodes.filter { $0.links == 0 }
        #expect(nameless.count == 1 && nameless.first?.bytes == usage.openUnlinkedBytes)
        // Nothing in between takes the walk out of its way, whatever it was reading.
        (walk, met) = (NodeWalk(), Met())
        #expect(world.tree.advance(&walk) { node, name in met.add(node, name) })
        world.tree.forget(kept, count: .max)
        while world.tree.advance(&walk, { node, name in met.add(node, name) }) {}
        #expect(met.nodes.filter { $0.links == 0 }.count <= 1)
    }

    @Test("a directory that goes while it is read ends nothing")
    func goneDirectory() throws {
        let world = try QuotaWorld(bytes: 64 << 20)
        let folder = try world.directory("folder")
        for index in 0..<1000 { _ = try world.file("\(index)", in: folder) }
        let other = try world.directory("other")
        _ = try world.file("last", in: other)
        var (walk, met) = (NodeWalk(), Met())
        // The root and its two directories, and then a part of the first.
        #expect(world.tree.advance(&walk) { node, name in met.add(node, name) })
        for index in 0..<1000 { try world.remove("\(index)", in: folder) }
        try world.removeDirectory("folder", in: .root)
        world.tree.forget(folder, count: .max)
        while world.tree.advance(&walk, { node, name in met.add(node, name) }) {}
        #expect(met.names.contains("last"))
    }
}
