import Basics
import Control
import Tree

/// Answers `/v1/nodes` for one mount: walks the tree in steps, and lets others at it between two.
struct NodeControl: NodeLister {
    /// Pieces of an answer are about as large.
    private static let pieceBytes = 64 << 10
    private static let pauseMicroseconds: UInt32 = 50

    let tree: Tree

    /// What one step of the walk met; turned into text when its lock is given back.
    private struct Batch {
        var nodes: [FoundNode] = []
        /// The names, one after the other, and where each ends.
        var names: [UInt8] = []
        var ends: [Int] = []

        mutating func add(_ node: FoundNode, _ name: RawSpan) {
            nodes.append(node)
            unsafe name.withUnsafeBytes { unsafe names.append(contentsOf: $0) }
            ends.append(names.count)
        }

        /// Appends the lines, and is empty then.
        mutating func move(to lines: inout [UInt8]) {
            var start = 0
            for (index, node) in nodes.enumerated() {
                let line = NodeLine(
                    kind: node.kind, directory: node.directory, inode: node.number, links: node.links,
                    user: node.owner, bytes: node.bytes, modified: node.modified.seconds)
                line.append(to: &lines, name: names[start..<ends[index]])
                start = ends[index]
            }
            nodes.removeAll(keepingCapacity: true)
            names.removeAll(keepingCapacity: true)
            ends.removeAll(keepingCapacity: true)
        }
    }

    func list(_ send: ([UInt8]) -> Bool) {
        var walk = NodeWalk()
        var batch = Batch()
        var lines: [UInt8] = []
        var count = 0
        while true {
            let goesOn = tree.advance(&walk) { node, name in batch.add(node, name) }
            count += batch.nodes.count
            batch.move(to: &lines)
            if !goesOn { break }
            if lines.count >= Self.pieceBytes {
                // No lock is held: who does not read keeps nobody waiting but this thread.
                guard send(lines) else { return }
                lines.removeAll(keepingCapacity: true)
            }
            Thread.pause(microseconds: Self.pauseMicroseconds)
        }
        _ = send(lines + NodeLine.end(after: count))
    }
}
