package import Basics

/// The filesystem once more, slow and obviously right: dictionaries, and byte arrays without holes.
///
/// It does not know what anything costs. Each operation has two halves: `problems` are all the errors that an
/// implementation may give (none: it must succeed), and the change itself, made once the implementation has
/// succeeded.
package final class ReferenceTree {
    package final class Node {
        package let id: Int
        package let kind: FileKind
        package var mode: UInt32
        package var owner: UInt32
        package var group: UInt32
        package var device: UInt32 = 0
        package var data: [UInt8] = []
        package var target: [UInt8] = []
        package var xattrs: [[UInt8]: [UInt8]] = [:]
        package var children: [[UInt8]: Node] = [:]
        /// Of a directory that has a name; the root is its own.
        package weak var parent: Node?
        /// Names of what is no directory.
        package var names = 0
        package var isRemoved = false
        /// How many times the other side has been handed this node.
        package var lookups: UInt64 = 0

        init(id: Int, kind: FileKind, mode: UInt32, owner: UInt32, group: UInt32) {
            self.id = id
            self.kind = kind
            self.mode = mode & 0o7777
            self.owner = owner
            self.group = group
        }

        package var isDirectory: Bool { kind == .directory }

        package var links: UInt32 {
            if !isDirectory { return UInt32(names) }
            if isRemoved { return 0 }
            return 2 + UInt32(children.values.count { $0.isDirectory })
        }

        package var size: Int {
            switch kind {
            case .regular: data.count
            case .symlink: target.count
            default: 0
            }
        }

        /// Whether `other` is this directory or lies anywhere below it.
        package func holds(_ other: Node) -> Bool {
            var place: Node? = other
            while let here = place {
                if here === self { return true }
                place = here.parent === here ? nil : here.parent
            }
            return false
        }
    }

    package let root: Node
    package private(set) var nodes: [Int: Node] = [:]
    private var nextID = 1

    package init() {
        root = Node(id: 0, kind: .directory, mode: 0o1777, owner: 0, group: 0)
        root.parent = root
        root.lookups = 1
        nodes[0] = root
    }

    /// Frees what has neither a name nor a holder.
    package func release(_ node: Node) {
        if node === root || node.lookups > 0 || node.links > 0 { return }
        nodes[node.id] = nil
    }

    // MARK: Names

    package func problems(adding name: [UInt8], to parent: Node) -> [Errno] {
        var found: [Errno] = []
        if parent.isRemoved { found.append(.noSuchFileOrDirectory) }
        if parent.children[name] != nil { found.append(.fileExists) }
        return found
    }

    package func make(
        _ kind: FileKind, _ name: [UInt8]?, in parent: Node, mode: UInt32, by caller: Caller
    ) -> Node {
        let inherits = parent.mode & 0o2000 != 0
        var bits = mode
        if inherits && kind == .directory { bits |= 0o2000 }
        let node = Node(
            id: nextID, kind: kind, mode: bits, owner: caller.user,
            group: inherits ? parent.group : caller.group)
        nextID += 1
        nodes[node.id] = node
        if let name {
            attach(node, name, to: parent)
        }
        return node
    }

    /// That a file without a name is not named again is checked by the kernel, which knows of O_TMPFILE and
    /// O_EXCL.
    package func problems(linking node: Node, as name: [UInt8], in parent: Node) -> [Errno] {
        var found = problems(adding: name, to: parent)
        if node.isDirectory { found.append(.notPermitted) }
        return found
    }

    package func link(_ node: Node, as name: [UInt8], in parent: Node) {
        attach(node, name, to: parent)
    }

    package func problems(unlinking name: [UInt8], in parent: Node) -> [Errno] {
        guard let node = parent.children[name] else { return [.noSuchFileOrDirectory] }
        return node.isDirectory ? [.isDirectory, .notPermitted] : []
    }

    package func problems(removingDirectory name: [UInt8], in parent: Node) -> [Errno] {
        guard let node = parent.children[name] else { return [.noSuchFileOrDirectory] }
        if !node.isDirectory { return [.notDirectory] }
        return node.children.isEmpty ? [] : [.directoryNotEmpty]
    }

    package func remove(_ name: [UInt8], from parent: Node) {
        guard let node = parent.children.removeValue(forKey: name) else {
            preconditionFailure("checked before")
        }
        if node.isDirectory { node.isRemoved = true } else { node.names -= 1 }
        release(node)
    }

    // MARK: Rename

    package func problems(
        renaming name: [UInt8], in parent: Node, to newName: [UInt8], in newParent: Node, _ flags: RenameFlags
    ) -> [Errno] {
        var found: [Errno] = []
        if flags.contains(.exchange) && !flags.isDisjoint(with: [.noReplace, .whiteout]) {
            found.append(.invalidArgument)
        }
        if newParent.isRemoved { found.append(.noSuchFileOrDirectory) }
        guard let node = parent.children[name] else { return found + [.noSuchFileOrDirectory] }
        if node.isDirectory && node.holds(newParent) { found.append(.invalidArgument) }
        guard let old = newParent.children[newName] else {
            return flags.contains(.exchange) ? found + [.noSuchFileOrDirectory] : found
        }
        if flags.contains(.noReplace) { found.append(.fileExists) }
        if flags.contains(.exchange) {
            return old.isDirectory && old.holds(parent) ? found + [.invalidArgument] : found
        }
        if old === node { return found }
        if node.isDirectory && !old.isDirectory { found.append(.notDirectory) }
        if !node.isDirectory && old.isDirectory { found.append(.isDirectory) }
        if old.isDirectory && !old.children.isEmpty { found.append(.directoryNotEmpty) }
        return found
    }

    /// Returns the whiteout, where one was made.
    package func rename(
        _ name: [UInt8], in parent: Node, to newName: [UInt8], in newParent: Node, _ flags: RenameFlags
    ) -> Node? {
        guard let node = parent.children[name] else { preconditionFailure("checked before") }
        let old = newParent.children[newName]
        if old === node { return nil }
        if flags.contains(.exchange), let old {
            parent.children[name] = old
            newParent.children[newName] = node
            if old.isDirectory { old.parent = parent }
            if node.isDirectory { node.parent = newParent }
            return nil
        }
        if old != nil { remove(newName, from: newParent) }
        parent.children[name] = nil
        newParent.children[newName] = node
        if node.isDirectory { node.parent = newParent }
        if !flags.contains(.whiteout) { return nil }
        let caller = Caller(user: 0, group: 0, process: 1)
        return make(.characterDevice, name, in: parent, mode: 0, by: caller)
    }

    // MARK: Content

    package func write(_ bytes: [UInt8], to node: Node, at offset: Int, droppingPrivileges: Bool) {
        if !bytes.isEmpty {
            extend(node, to: offset + bytes.count)
            node.data.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        }
        if droppingPrivileges { dropPrivileges(of: node) }
    }

    package func resize(_ node: Node, to size: Int) {
        if size < node.data.count { node.data.removeSubrange(size...) }
        extend(node, to: size)
    }

    package func zero(_ node: Node, _ range: Range<Int>) {
        let inside = range.clamped(to: 0..<node.data.count)
        node.data.replaceSubrange(inside, with: [UInt8](repeating: 0, count: inside.count))
    }

    package func extend(_ node: Node, to size: Int) {
        if size > node.data.count { node.data += [UInt8](repeating: 0, count: size - node.data.count) }
    }

    private func dropPrivileges(of node: Node) {
        node.mode &= ~0o4000
        if node.mode & 0o010 != 0 { node.mode &= ~0o2000 }
    }

    private func attach(_ node: Node, _ name: [UInt8], to parent: Node) {
        parent.children[name] = node
        if node.isDirectory { node.parent = parent } else { node.names += 1 }
    }
}
