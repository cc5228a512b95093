import Basics
import Fuse
import Tree

/// Drives a subject and the reference through the same random operations, and stops at the first difference.
package final class ModelRun {
    package struct Difference: Error, CustomStringConvertible {
        package let description: String
    }

    let subject: ModelSubject
    let reference = ReferenceTree()
    var random: Generator
    /// How the subject calls each node that it has handed out and not been told to forget.
    var known: [Int: NodeID] = [0: .root]
    let maxNodes: Int?
    /// Whether the subject's limit is so low that it may refuse growth.
    let isTight: Bool
    let seed: UInt64
    private var numbers: [UInt64: Int] = [:]
    private var numberOf: [Int: UInt64] = [:]
    private var journal: [String] = []
    private let start: Usage
    /// On purpose the subject is given other bytes than the reference, to see that this is noticed.
    let isCanary: Bool
    let caller = Caller(user: 0, group: 0, process: 1)

    package init(
        _ subject: ModelSubject, seed: UInt64, maxNodes: Int? = nil, isTight: Bool = false, isCanary: Bool
    ) {
        self.subject = subject
        self.seed = seed
        self.maxNodes = maxNodes
        self.isTight = isTight
        self.isCanary = isCanary
        random = Generator(seed: seed)
        start = subject.usage()
    }

    /// Makes `steps` operations, then removes everything. The usage must be back where it was.
    package func run(steps: Int, checkEvery interval: Int = 100) throws {
        do {
            for step in 1...steps {
                try self.step()
                if step % interval == 0 { try compareAll() }
            }
            try compareAll()
            try removeEverything()
        } catch {
            let last = journal.suffix(30).joined(separator: "\n  ")
            throw Difference(
                description: "seed \(seed), after \(journal.count) operations: \(error)\n  \(last)")
        }
    }

    // MARK: One operation

    enum Growth {
        /// May be refused when there is no room.
        case possible
        /// Must never be refused for want of room.
        case none
    }

    func note(_ text: String) { journal.append(text) }

    func differ(_ text: String) -> Difference { Difference(description: text) }

    /// Calls the subject. Returns its result where it succeeded and was right to, nil where it failed and was
    /// right to.
    ///
    /// A failure must have left `touched` and the usage as they were.
    func expect<Result>(
        _ problems: [Errno], _ growth: Growth, newNodes: Int = 0, touching touched: [ReferenceTree.Node],
        _ body: () throws(Errno) -> Result
    ) throws -> Result? {
        var allowed = problems
        if let maxNodes, newNodes > 0, reference.nodes.count + newNodes > maxNodes {
            allowed.append(.tooManyOpenFiles)
        }
        let before = try touched.map(attributes)
        let usage = subject.usage()
        let result: Result
        do throws(Errno) {
            result = try body()
        } catch {
            let mayLackRoom = isTight && growth == .possible && error == .noSpace
            if !allowed.contains(error) && !mayLackRoom {
                throw differ("the subject failed with \(error), allowed were \(allowed)")
            }
            let after = try touched.map(attributes)
            if before != after { throw differ("a refused operation changed \(before) to \(after)") }
            let now = subject.usage()
            let same =
                now.usedBytes == usage.usedBytes && now.dataBytes == usage.dataBytes
                && now.nodes == usage.nodes
                && now.metadataBytes == usage.metadataBytes
            if !same { throw differ("a refused operation changed the usage: \(usage) to \(now)") }
            for node in touched { try compare(node) }
            return nil
        }
        if !allowed.isEmpty { throw differ("the subject succeeded, wanted one of \(allowed)") }
        return result
    }

    private func attributes(_ node: ReferenceTree.Node) throws -> Attributes? {
        guard let id = known[node.id] else { return nil }
        return try subject.operations.attributes(of: id)
    }

    /// Takes note of an entry that the subject handed out: the node's name for us, and one more lookup.
    func learn(_ entry: Entry, _ node: ReferenceTree.Node) throws {
        let number = entry.attributes.number
        if let old = numbers[number], old != node.id { throw differ("the number \(number) is used again") }
        if let old = numberOf[node.id], old != number { throw differ("the number \(old) became \(number)") }
        if let old = known[node.id], old != entry.node { throw differ("one node has two IDs") }
        numbers[number] = node.id
        numberOf[node.id] = number
        known[node.id] = entry.node
        node.lookups += 1
        try compare(node)
    }

    func forget(_ node: ReferenceTree.Node, count: UInt64) {
        guard let id = known[node.id] else { return }
        subject.operations.forget(id, count: count)
        node.lookups -= count
        if node.lookups == 0 {
            known[node.id] = nil
            reference.release(node)
        }
    }

    // MARK: Comparing

    func compare(_ node: ReferenceTree.Node) throws {
        guard let id = known[node.id] else { return }
        let found = try subject.operations.attributes(of: id)
        let mode = node.kind.rawValue | node.mode
        if found.mode != mode { throw differ("mode of \(node.id): \(found.mode), wanted \(mode)") }
        if found.links != node.links {
            throw differ("links of \(node.id): \(found.links), wanted \(node.links)")
        }
        if !node.isDirectory && found.size != Int64(node.size) {
            throw differ("size of \(node.id): \(found.size), wanted \(node.size)")
        }
        if [found.owner, found.group, found.device] != [node.owner, node.group, node.device] {
            throw differ("owner, group, device of \(node.id): \(found)")
        }
        if let number = numberOf[node.id], number != found.number {
            throw differ("number of \(node.id) changed")
        }
        if node.kind == .symlink {
            if try subject.target(id) != node.target { throw differ("target of \(node.id)") }
        }
        if node.kind != .regular { return }
        let bytes = try subject.contents(id, at: 0, count: node.data.count + 100)
        if bytes == node.data { return }
        let place = zip(bytes, node.data).enumerated().first { $1.0 != $1.1 }?.offset
        throw differ(
            "content of \(node.id): \(bytes.count) bytes for \(node.data.count), "
                + "first other at \(place ?? -1)"
        )
    }

    private func compareAll() throws {
        try subject.checkInvariants()
        for id in known.keys.sorted() {
            guard let node = reference.nodes[id], let name = known[id] else {
                throw differ("\(id) is known and freed")
            }
            try compare(node)
            let wanted = Set(node.xattrs.keys)
            let found = try subject.xattrs(of: name, by: caller)
            if found != wanted { throw differ("xattrs of \(id): \(found)") }
            if node.isDirectory && !node.isRemoved { try compareListing(node, piece: 7, counting: false) }
        }
        let usage = subject.usage()
        if usage.nodes != reference.nodes.count {
            throw differ("the subject counts \(usage.nodes) nodes, there are \(reference.nodes.count)")
        }
        let sane =
            usage.usedBytes <= usage.limitBytes && usage.usedBytes == usage.dataBytes + usage.metadataBytes
        if !sane { throw differ("usage: \(usage)") }
    }

    func compareListing(_ node: ReferenceTree.Node, piece: Int, counting: Bool) throws {
        guard let id = known[node.id] else { return }
        let listed = try subject.list(id, piece: piece, counting: counting)
        if listed.prefix(2).map(\.name) != [[46], [46, 46]] { throw differ(". and .. do not come first") }
        let inner = listed.dropFirst(2)
        if Set(inner.map(\.name)) != Set(node.children.keys) || inner.count != node.children.count {
            throw differ("listing of \(node.id): \(inner.map(\.name)), wanted \(node.children.keys)")
        }
        if Set(listed.map(\.cookie)).count != listed.count { throw differ("a cookie is given twice") }
        for item in inner {
            guard let child = node.children[item.name] else { continue }
            if item.entry.attributes.mode & 0o170000 != child.kind.rawValue {
                throw differ("kind in a listing")
            }
            if let number = numberOf[child.id], number != item.entry.attributes.number {
                throw differ("number in a listing")
            }
            if counting { try learn(item.entry, child) }
        }
    }

    // MARK: The end

    private func removeEverything() throws {
        try empty(reference.root)
        for node in reference.nodes.values.sorted(by: { $0.id < $1.id }) where node !== reference.root {
            forget(node, count: node.lookups)
        }
        try subject.checkInvariants()
        if reference.nodes.count != 1 {
            throw differ("the reference has left \(reference.nodes.count) nodes")
        }
        for name in reference.root.xattrs.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            try subject.operations.removeExtendedAttribute(
                RawSpan(_elements: name.span), of: .root, by: caller)
        }
        let end = subject.usage()
        let same = [end.usedBytes, end.dataBytes, end.metadataBytes, end.nodes, end.openUnlinkedBytes]
        if same != [
            start.usedBytes, start.dataBytes, start.metadataBytes, start.nodes, start.openUnlinkedBytes,
        ] {
            throw differ("all is removed, and the usage went from \(start) to \(end)")
        }
    }

    private func empty(_ directory: ReferenceTree.Node) throws {
        for (name, child) in directory.children {
            if known[child.id] == nil, let id = known[directory.id] {
                let entry = try subject.operations.lookup(RawSpan(_elements: name.span), in: id)
                try learn(entry, child)
            }
            if child.isDirectory { try empty(child) }
            guard let id = known[directory.id] else { throw differ("a directory was not found again") }
            if child.isDirectory {
                try subject.operations.removeDirectory(RawSpan(_elements: name.span), in: id)
            } else {
                try subject.operations.unlink(RawSpan(_elements: name.span), in: id)
            }
            reference.remove(name, from: directory)
        }
    }
}
