import Accounting
public import Basics
import Storage

/// Where the directories with quotas are: by path, and the other way round.
extension Tree {
    /// How many names are looked at with the namespace's lock held.
    private static let nameSteps = 4096

    /// The directory that the names lead to from the root. Symlinks are not followed.
    ///
    /// - Parameter user: who must be allowed to search each directory on the way, as its owner or as anybody;
    ///   nil for all of them.
    /// - Throws: `.noSuchFileOrDirectory`, `.notDirectory` where something else is in the way,
    ///   `.permissionDenied`.
    public func directory(at names: [[UInt8]], searchedBy user: UInt32? = nil) throws(Errno) -> NodeID {
        try namespace.withLock { (allocation) throws(Errno) in
            var node = NodeID.root
            for name in names {
                let mayPass = try table.withState(node) { (state) throws(Errno) in
                    user.map { state.mode & 0o001 != 0 || state.owner == $0 && state.mode & 0o100 != 0 }
                }
                guard mayPass ?? true else { throw .permissionDenied }
                let found = try name.withRawSpan { (name) throws(Errno) in
                    try find(name, in: node, allocation)
                }
                guard found.kind == .directory else { throw .notDirectory }
                node = found.node
            }
            return node
        }
    }

    /// The names from the root to a directory; nil where it is gone.
    public func path(of directory: NodeID) -> [[UInt8]]? {
        paths(of: [directory])[directory]
    }

    /// All quotas, with the names that lead to their directories. Each figure is of its moment.
    public func quotas() -> [(path: [[UInt8]], state: QuotaState)] {
        let levels = namespace.withLock { allocation in allocation.quotas.levels }
        let paths = paths(of: Set(levels.keys))
        let found = levels.compactMap { directory, level in
            paths[directory].map { (path: $0, state: QuotaState(level)) }
        }
        return found.sorted { left, right in
            left.path.lexicographicallyPrecedes(right.path) { $0.lexicographicallyPrecedes($1) }
        }
    }

    /// The quotas that hold most, at most `limit` of them and the largest first, and how many there are.
    /// Names are looked for of these alone.
    public func largestQuotas(
        upTo limit: Int
    ) -> (quotas: [(path: [[UInt8]], state: QuotaState)], count: Int) {
        let levels = namespace.withLock { allocation in allocation.quotas.levels }
        let states = levels.map { (directory: $0.key, state: QuotaState($0.value)) }
        let largest = states.sorted { $0.state.usedBytes > $1.state.usedBytes }.prefix(limit)
        let paths = paths(of: Set(largest.map(\.directory)))
        let found = largest.compactMap { quota in
            paths[quota.directory].map { (path: $0, state: quota.state) }
        }
        return (found, levels.count)
    }

    /// The names that lead to each of the directories that is there. Reads each directory above once.
    func paths(of directories: Set<NodeID>) -> [NodeID: [[UInt8]]] {
        var parents: [NodeID: NodeID] = [:]
        for directory in directories {
            var node = directory
            while node != .root, parents[node] == nil, let parent = parent(of: node) {
                parents[node] = parent
                node = parent
            }
        }
        var names: [NodeID: [UInt8]] = [:]
        for parent in Set(parents.values) {
            collect(&names, of: parents, in: parent)
        }
        var paths: [NodeID: [[UInt8]]] = [:]
        for directory in directories {
            var path: [[UInt8]] = []
            var node = directory
            while let name = names[node], let parent = parents[node], path.count <= parents.count {
                path.append(name)
                node = parent
            }
            if node == .root { paths[directory] = path.reversed() }
        }
        return paths
    }

    private func parent(of directory: NodeID) -> NodeID? {
        do throws(Errno) {
            return try table.withState(directory) { (state) throws(Errno) in
                state.links > 0 ? state.parent : nil
            }
        } catch {
            return nil
        }
    }

    /// Adds the names of those whose parent is `directory`, a piece at a time.
    private func collect(
        _ names: inout [NodeID: [UInt8]], of parents: [NodeID: NodeID], in directory: NodeID
    ) {
        var cookie: UInt64? = 0
        while let start = cookie {
            cookie = namespace.withLock { allocation in
                do throws(Errno) {
                    return try table.withNamesHeld(directory, allocation) { (state) throws(Errno) in
                        try state.readNames { entries in
                            var left = Tree.nameSteps
                            var last: UInt64?
                            entries.forEach(after: start, in: memory) { name, found in
                                if parents[found.node] == directory { names[found.node] = name.bytes }
                                left -= 1
                                last = left == 0 ? found.cookie : nil
                                return left > 0
                            }
                            return last
                        }
                    }
                } catch {
                    return nil
                }
            }
        }
    }
}
