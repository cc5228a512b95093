public import Accounting
public import Basics
import Storage

/// Whose limit a level is.
public enum LimitHolder: Hashable, Sendable {
    case mount
    case directory(NodeID)
    case user(UInt32)
}

/// What holds most of a tree, of a directory with a quota, or of what a user owns.
public struct LargestHolder: Hashable, Sendable {
    /// Who owns most, and how much that is, in bytes.
    public var owner: UInt32 = 0
    public var ownerBytes = 0
    public var ownerNodes = 0
    /// nil where there is no file.
    public var file: NodeID?
    /// In bytes, with what the file costs beside its data.
    public var fileBytes = 0
    /// Whether all nodes were looked at.
    public var isComplete = true
}

/// Searches through all nodes, for who wants to know and not for requests: a bounded number of nodes with the
/// namespace's lock held, and a pause.
extension Tree {
    /// So many owners are told apart.
    private static let mostOwners = 1024

    /// The names that lead from the root to each of `nodes` that has some; of a file with several, one path.
    ///
    /// A file does not know its directory: it is looked for in all of them.
    /// - Parameter steps: how many nodes and names are looked at for that at the most.
    public func paths(of nodes: Set<NodeID>, steps: Int) -> [NodeID: [[UInt8]]] {
        var directories: Set<NodeID> = []
        var files: Set<NodeID> = []
        for node in nodes {
            switch hasName(node) {
            case .directory: directories.insert(node)
            case .none: break
            default: files.insert(node)
            }
        }
        let places = places(of: files, steps: steps)
        let paths = paths(of: directories.union(places.values.map(\.parent)))
        var found = paths.filter { nodes.contains($0.key) }
        for (file, place) in places { found[file] = paths[place.parent].map { $0 + [place.name] } }
        return found
    }

    /// Whose limits these levels are, by their numbers; without those that are gone.
    public func holders(ofLevels numbers: Set<UInt64>) -> [UInt64: LimitHolder] {
        if numbers.isEmpty { return [:] }
        let found = levels().filter { numbers.contains($0.level.number) }
        return Dictionary(found.map { ($0.level.number, $0.holder) }) { first, _ in first }
    }

    /// All levels.
    public func levels() -> [(holder: LimitHolder, level: QuotaLevel)] {
        let quotas = namespace.withLock { allocation in allocation.quotas.levels }
        return [(.mount, ledger.level)] + quotas.map { (.directory($0.key), $0.value) }
            + users.levels.map { (.user($0.key), $0.value) }
    }

    /// What the mount's own level is called.
    public var levelNumber: UInt64 { ledger.level.number }

    /// Finds who owns most, and the largest file, of what counts in the level `number`; nil: in the whole
    /// tree.
    public func largestHolder(in number: UInt64?, steps: Int) -> LargestHolder {
        let level = number.flatMap { number in levels().first { $0.level.number == number }?.level }
        var largest = LargestHolder()
        var owners: [UInt32: (bytes: Int, nodes: Int)] = [:]
        largest.isComplete = forEachNode(steps: steps) { node, state in
            if let level, !state.charge.ledger.reaches(level) { return }
            if owners[state.owner] != nil || owners.count < Tree.mostOwners {
                let before = owners[state.owner, default: (0, 0)]
                owners[state.owner] = (before.bytes + state.charge.bytes, before.nodes + 1)
            }
            if state.kind == .regular, state.charge.bytes > largest.fileBytes {
                largest.file = node
                largest.fileBytes = state.charge.bytes
            }
        }
        if let first = owners.max(by: { $0.value.bytes < $1.value.bytes }) {
            largest.owner = first.key
            largest.ownerBytes = first.value.bytes
            largest.ownerNodes = first.value.nodes
        }
        return largest
    }

    /// Lends the state of each node, `steps` at the most. Returns whether those were all.
    private func forEachNode(steps: Int, _ body: (NodeID, borrowing Inode.State) -> Void) -> Bool {
        var slot = 0
        var left = steps
        while left > 0 {
            let isDone = namespace.withLock { allocation in
                for _ in 0..<Tree.stepNodes {
                    left -= 1
                    guard let next = table.next(from: slot, steps: Tree.stepNodes, allocation) else {
                        return true
                    }
                    slot = next.index
                    guard let node = next.node else { return false }
                    do throws(Errno) {
                        try table.withState(node) { (state) throws(Errno) in body(node, state) }
                    } catch {
                        // It was there a moment ago, and the lock is held.
                        continue
                    }
                }
                return false
            }
            if isDone { return true }
            Thread.pause(microseconds: Tree.pauseMicroseconds)
        }
        return false
    }

    /// The kind of a node that has a name; nil where it has none.
    private func hasName(_ node: NodeID) -> FileKind? {
        do throws(Errno) {
            return try table.withState(node) { (state) throws(Errno) in state.links > 0 ? state.kind : nil }
        } catch {
            return nil
        }
    }

    /// Where the search for files in all directories has come to.
    private struct Search {
        var missing: Set<NodeID>
        var places: [NodeID: (parent: NodeID, name: [UInt8])] = [:]
        /// The slot to look at next, and the directory that is being read behind which cookie.
        var slot = 0
        var reading: NodeID?
        var cookie: UInt64 = 0
    }

    private func places(
        of files: Set<NodeID>, steps: Int
    ) -> [NodeID: (parent: NodeID, name: [UInt8])] {
        var search = Search(missing: files)
        var left = steps
        while !search.missing.isEmpty, left > 0 {
            let goesOn = namespace.withLock { allocation in step(&search, &left, allocation) }
            guard goesOn else { break }
            Thread.pause(microseconds: Tree.pauseMicroseconds)
        }
        return search.places
    }

    /// Returns whether there is more to look at.
    private func step(
        _ search: inout Search, _ left: inout Int, _ allocation: borrowing InodeTable.Allocation
    ) -> Bool {
        let end = max(0, left - 16 * Tree.stepNodes)
        var nodes = Tree.stepNodes
        while left > end, nodes > 0, !search.missing.isEmpty {
            guard let directory = search.reading else {
                left -= 1
                nodes -= 1
                guard let next = table.next(from: search.slot, steps: Tree.stepNodes, allocation) else {
                    return false
                }
                search.slot = next.index
                guard let node = next.node else { return true }
                if hasName(node) == .directory { (search.reading, search.cookie) = (node, 0) }
                continue
            }
            if read(directory, &search, &left, end, allocation) { search.reading = nil }
        }
        return true
    }

    /// Reads on in a directory. Returns whether its end was reached, or it has gone.
    private func read(
        _ directory: NodeID, _ search: inout Search, _ left: inout Int, _ end: Int,
        _ allocation: borrowing InodeTable.Allocation
    ) -> Bool {
        var (cookie, names) = (search.cookie, left - end)
        defer {
            search.cookie = cookie
            left = end + names
        }
        do throws(Errno) {
            return try readNames(of: directory, after: &cookie, &names, allocation) { name, found in
                if search.missing.remove(found.node) != nil {
                    search.places[found.node] = (directory, name.bytes)
                }
                return true
            }
        } catch {
            return true
        }
    }
}
