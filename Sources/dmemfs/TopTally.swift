import Control

/// What the nodes of a mount come to: by directory, by user and by age, the largest files, and what has no
/// name any more.
///
/// It keeps the directories, the users, the files with several names and those without one, and no other file
/// but the largest.
struct TopTally {
    struct Sum: Hashable {
        var bytes = 0
        var nodes = 0

        mutating func add(_ other: Sum) {
            bytes += other.bytes
            nodes += other.nodes
        }
    }

    struct File: Hashable {
        /// Where it is in the order of directories, and its name there as `NodeLine` has it.
        var directory: Int
        var name: [UInt8]
        var node: NodeLine
    }

    private struct Directory {
        /// Where the one that it is in is in this order; nil for the root, and where that was not met.
        var parent: Int?
        var name: [UInt8] = []
        /// Once `rollUp` has run, with all that is below.
        var sum = Sum()
        /// How many directories in it are not added to it yet.
        var waiting = 0
        var isMet = false
    }

    /// The upper bounds of the ages that are told apart, in seconds; what is older comes last.
    static let ages = [60, 3600, 86_400, 7 * 86_400]

    private let now: Int64
    private let fileLimit: Int
    private var directories: [Directory] = []
    private var places: [UInt64: Int] = [:]
    /// Inodes with several names that were counted.
    private var linked: Set<UInt64> = []
    private var candidates: [File] = []
    private var leastCandidate = 0

    /// Of all that has a name.
    private(set) var named = Sum()
    private(set) var users: [UInt32: Sum] = [:]
    /// One more than `ages`.
    private(set) var byAge = [Sum](repeating: Sum(), count: ages.count + 1)
    /// What is open and has no name, the largest first once `rollUp` has run.
    private(set) var unlinked: [NodeLine] = []

    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - files: how many of the largest files are wanted.
    init(now: Int64, files: Int) {
        self.now = now
        fileLimit = files
    }

    /// Counts one name of a node.
    mutating func add(_ node: NodeLine, name: ArraySlice<UInt8>) {
        if node.isUnlinked {
            unlinked.append(node)
            return
        }
        // A directory's links are those in it: it has one name.
        if !node.isDirectory, node.links > 1, !linked.insert(node.inode).inserted { return }
        let sum = Sum(bytes: node.bytes, nodes: 1)
        let parent = node.directory == 0 ? nil : place(of: node.directory)
        let isAgain = node.isDirectory && !meet(node, name, in: parent)
        // Renamed while we walked: it counts where it was met first.
        if isAgain { return }
        let place = node.isDirectory ? place(of: node.inode) : parent
        if let place { directories[place].sum.add(sum) }
        named.add(sum)
        users[node.user, default: Sum()].add(sum)
        let age = Int(clamping: now - node.modified)
        byAge[Self.ages.firstIndex { age < $0 } ?? Self.ages.count].add(sum)
        if !node.isDirectory, node.bytes >= leastCandidate, let parent {
            candidates.append(File(directory: parent, name: Array(name), node: node))
            if candidates.count > 4 * fileLimit + 64 { dropSmallFiles() }
        }
    }

    private mutating func place(of inode: UInt64) -> Int {
        if let place = places[inode] { return place }
        directories.append(Directory())
        places[inode] = directories.count - 1
        return directories.count - 1
    }

    /// Whether it is met for the first time.
    private mutating func meet(_ node: NodeLine, _ name: ArraySlice<UInt8>, in parent: Int?) -> Bool {
        let place = place(of: node.inode)
        guard !directories[place].isMet else { return false }
        directories[place].isMet = true
        directories[place].name = Array(name)
        directories[place].parent = parent
        if let parent { directories[parent].waiting += 1 }
        return true
    }

    private mutating func dropSmallFiles() {
        candidates.sort { ($0.node.bytes, $1.node.inode) > ($1.node.bytes, $0.node.inode) }
        candidates.removeLast(max(0, candidates.count - fileLimit))
        leastCandidate = candidates.count == fileLimit ? candidates.last?.node.bytes ?? 0 : 0
    }

    // MARK: - Once all are counted

    /// Adds to each directory what those in it hold. Once, when all nodes are counted.
    ///
    /// From the leaves up, however deep it is. What was moved into itself between two looks keeps its own.
    mutating func rollUp() {
        var ready = directories.indices.filter { directories[$0].waiting == 0 }
        while let place = ready.popLast() {
            guard let parent = directories[place].parent else { continue }
            directories[parent].sum.add(directories[place].sum)
            directories[parent].waiting -= 1
            if directories[parent].waiting == 0 { ready.append(parent) }
        }
        dropSmallFiles()
        unlinked.sort { ($0.bytes, $1.inode) > ($1.bytes, $0.inode) }
    }

    /// The largest directories with all that is below them, the largest first.
    func largestDirectories(_ count: Int) -> [(path: [UInt8], sum: Sum)] {
        let order = directories.indices.sorted { left, right in
            let (one, other) = (directories[left].sum, directories[right].sum)
            return (one.bytes, one.nodes, right) > (other.bytes, other.nodes, left)
        }
        return order.prefix(count).map { (path(of: $0), directories[$0].sum) }
    }

    /// The largest first.
    func largestFiles(_ count: Int) -> [(path: [UInt8], file: File)] {
        candidates.prefix(count).map { file in
            let folder = path(of: file.directory)
            return ((folder == Self.root ? [] : folder) + Self.root + Self.decoded(file.name), file)
        }
    }

    private static let root = [UInt8(ascii: "/")]

    /// From the mount's root on, with a slash at its start.
    private func path(of place: Int) -> [UInt8] {
        var names: [[UInt8]] = []
        var next: Int? = place
        while let place = next, names.count <= directories.count {
            // The root has no name.
            if !directories[place].name.isEmpty { names.append(directories[place].name) }
            next = directories[place].parent
        }
        return names.isEmpty ? Self.root : names.reversed().flatMap { Self.root + Self.decoded($0) }
    }

    private static func decoded(_ name: [UInt8]) -> [UInt8] {
        MountPath(encoded: String(decoding: name, as: UTF8.self))?.names.first ?? name
    }
}
