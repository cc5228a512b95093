import Basics
import Fuse

/// The operations on names. Each picks its targets among what exists, so that most of them mean something.
extension ModelRun {
    private static let pool: [[UInt8]] = [
        [0x61], [0x62], [0x63], [0x64], [0x65, 0x66], Array("a longer name".utf8), [0xff, 0xfe],
        [UInt8](repeating: 0x78, count: 255),
    ]

    func step() throws {
        switch random.below(100) {
        case 0..<8: try lookup()
        case 8..<22: try make()
        case 22..<27: try temporary()
        case 27..<32: try link()
        case 32..<38: try unlink()
        case 38..<42: try removeDirectory()
        case 42..<52: try rename()
        case 52..<57: try forgetting()
        case 57..<60: try listing()
        default: try stepContent()
        }
    }

    /// A directory that the subject has handed out, by preference one that has a name.
    func directory() -> (node: ReferenceTree.Node, id: NodeID) {
        let found = pick { $0.isDirectory && (!$0.isRemoved || $0.id % 7 == 0) }
        return found ?? (reference.root, .root)
    }

    func pick(_ wanted: (ReferenceTree.Node) -> Bool) -> (node: ReferenceTree.Node, id: NodeID)? {
        let matching = known.keys.sorted().compactMap { reference.nodes[$0] }.filter(wanted)
        if matching.isEmpty { return nil }
        let node = random.pick(matching)
        guard let id = known[node.id] else { return nil }
        return (node, id)
    }

    /// A name of the directory, or one that it may not have.
    func someName(in directory: ReferenceTree.Node) -> [UInt8] {
        let present = directory.children.keys.sorted { $0.lexicographicallyPrecedes($1) }
        return present.isEmpty || random.chance(50) ? random.pick(Self.pool) : random.pick(present)
    }

    private func lookup() throws {
        let (parent, id) = directory()
        let name = someName(in: parent)
        note("lookup \(name.prefix(4)) in \(parent.id)")
        let child = parent.children[name]
        let entry = try expect(child == nil ? [.noSuchFileOrDirectory] : [], .none, touching: [parent]) {
            () throws(Errno) in
            try subject.operations.lookup(RawSpan(_elements: name.span), in: id)
        }
        if let entry, let child { try learn(entry, child) }
    }

    private func make() throws {
        let (parent, id) = directory()
        let name = someName(in: parent)
        let bytes = RawSpan(_elements: name.span)
        let problems = reference.problems(adding: name, to: parent)
        let caller = Caller(user: UInt32(random.below(3)), group: UInt32(random.below(3)), process: 1)
        let mode = UInt32(random.below(0o1000))
        let kind = random.pick([
            FileKind.regular, .regular, .regular, .directory, .directory, .symlink, .pipe, .socket,
        ])
        let target = random.bytes(1 + random.below(200))
        let exclusive = random.chance(50)
        note("make \(kind) \(name.prefix(4)) in \(parent.id)")
        if kind == .regular, !exclusive, let child = parent.children[name], !parent.isRemoved {
            if child.kind != .regular { return }
            let entry = try expect([], .none, touching: [parent, child]) { () throws(Errno) in
                try subject.operations.create(bytes, in: id, mode: mode, exclusive: false, by: caller)
            }
            if let entry { try learn(entry, child) }
            return
        }
        let entry = try expect(problems, .possible, newNodes: 1, touching: [parent]) { () throws(Errno) in
            switch kind {
            case .regular:
                try subject.operations.create(bytes, in: id, mode: mode, exclusive: exclusive, by: caller)
            case .directory: try subject.operations.makeDirectory(bytes, in: id, mode: mode, by: caller)
            case .symlink:
                try subject.operations.makeSymlink(
                    bytes, in: id, to: RawSpan(_elements: target.span), by: caller)
            default:
                try subject.operations.makeNode(
                    bytes, in: id, mode: kind.rawValue | mode, device: 0, by: caller)
            }
        }
        guard let entry else { return }
        let node = reference.make(kind, name, in: parent, mode: kind == .symlink ? 0o777 : mode, by: caller)
        if kind == .symlink { node.target = target }
        try learn(entry, node)
        try compare(parent)
    }

    private func temporary() throws {
        let (parent, id) = directory()
        note("temporary in \(parent.id)")
        let entry = try expect([], .possible, newNodes: 1, touching: [parent]) { () throws(Errno) in
            try subject.operations.makeTemporary(in: id, mode: 0o600, by: caller)
        }
        guard let entry else { return }
        try learn(entry, reference.make(.regular, nil, in: parent, mode: 0o600, by: caller))
    }

    private func link() throws {
        let (parent, id) = directory()
        guard let (node, nodeID) = pick({ !$0.isDirectory || $0.id % 5 == 0 }) else { return }
        let name = someName(in: parent)
        note("link \(node.id) as \(name.prefix(4)) in \(parent.id)")
        let problems = reference.problems(linking: node, as: name, in: parent)
        let entry = try expect(problems, .possible, touching: [parent, node]) { () throws(Errno) in
            try subject.operations.link(nodeID, as: RawSpan(_elements: name.span), in: id)
        }
        guard let entry else { return }
        reference.link(node, as: name, in: parent)
        try learn(entry, node)
    }

    private func unlink() throws {
        let (parent, id) = directory()
        let name = someName(in: parent)
        note("unlink \(name.prefix(4)) in \(parent.id)")
        let problems = reference.problems(unlinking: name, in: parent)
        let node = parent.children[name]
        let done: Void? = try expect(problems, .none, touching: [parent] + [node].compactMap { $0 }) {
            () throws(Errno) in
            try subject.operations.unlink(RawSpan(_elements: name.span), in: id)
        }
        if done == nil { return }
        reference.remove(name, from: parent)
        if let node { try compare(node) }
    }

    private func removeDirectory() throws {
        let (parent, id) = directory()
        let name = someName(in: parent)
        note("rmdir \(name.prefix(4)) in \(parent.id)")
        let problems = reference.problems(removingDirectory: name, in: parent)
        let node = parent.children[name]
        let done: Void? = try expect(problems, .none, touching: [parent] + [node].compactMap { $0 }) {
            () throws(Errno) in
            try subject.operations.removeDirectory(RawSpan(_elements: name.span), in: id)
        }
        if done == nil { return }
        reference.remove(name, from: parent)
        if let node { try compare(node) }
        try compare(parent)
    }

    private func rename() throws {
        let (parent, id) = directory()
        let (newParent, newID) = directory()
        let name = someName(in: parent)
        let newName = someName(in: newParent)
        let choices: [RenameFlags] = [[], [], [], .noReplace, .exchange, .whiteout, [.exchange, .noReplace]]
        let flags = random.pick(choices)
        note(
            "rename \(name.prefix(4)) in \(parent.id) to "
                + "\(newName.prefix(4)) in \(newParent.id), \(flags.rawValue)"
        )
        let problems = reference.problems(renaming: name, in: parent, to: newName, in: newParent, flags)
        let source = parent.children[name]
        let target = newParent.children[newName]
        let touched = [parent, newParent] + [source, target].compactMap { $0 }
        let makesNode = flags.contains(.whiteout) && source !== target
        let done: Void? = try expect(problems, .possible, newNodes: makesNode ? 1 : 0, touching: touched) {
            () throws(Errno) in
            try subject.operations.rename(
                RawSpan(_elements: name.span), in: id, to: RawSpan(_elements: newName.span), in: newID,
                flags: flags,
                by: caller)
        }
        if done == nil { return }
        let whiteout = reference.rename(name, in: parent, to: newName, in: newParent, flags)
        for node in touched { try compare(node) }
        guard let whiteout else { return }
        let entry = try subject.operations.lookup(RawSpan(_elements: name.span), in: id)
        try learn(entry, whiteout)
    }

    private func forgetting() throws {
        guard let (node, _) = pick({ $0 !== reference.root }) else { return }
        let count = random.chance(50) ? node.lookups : 1
        note("forget \(node.id), \(count) of \(node.lookups)")
        forget(node, count: count)
    }

    private func listing() throws {
        let (parent, _) = directory()
        if parent.isRemoved { return }
        let counting = random.chance(50)
        note("list \(parent.id)\(counting ? ", counting" : "")")
        try compareListing(parent, piece: 1 + random.below(10), counting: counting)
    }
}
