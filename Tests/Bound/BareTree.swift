import Accounting
import Basics
import Glibc
import Storage
import Support
import Tree

/// What the tool shows of a tree without a mount, in a process that does nothing else.
enum BareTree {
    static let argument = "--bare-tree"
    private static let names = [
        "cost of a file", "charges and growth", "kernel memory of files", "random operations",
        "random operations, backed",
    ]

    /// What there is to show of an engine.
    static func names(_ engine: String) -> [String] {
        engine == "memory" ? [names[0], names[1], names[3]] : [names[2], names[4]]
    }

    static let caller = Caller(user: 0, group: 0, process: 1)

    static func main(_ arguments: [String]) throws {
        let isQuick = arguments.dropFirst().first == "quick"
        switch arguments.first {
        case names[0]:
            try printCosts()
            try Prices.printAll()
        case names[1]: try compareGrowth(nodes: 200_000)
        case names[2]: try BackedFiles.compare()
        default:
            let isBacked = arguments.first == names[4]
            if isBacked, !PrivateTmpfs.canBeHad { return }
            try RandomOperations.run(steps: isQuick ? 100_000 : 1_000_000, isBacked: isBacked)
        }
    }

    static func makeTree(bytes: Int = 4 << 30) throws -> Tree {
        try Tree(TreeConfiguration(limits: Limits(bytes: bytes)))
    }

    static func name(_ number: Int) -> [UInt8] { Array(("f" + Patterns.padded(number, 11)).utf8) }

    // MARK: What one file costs

    /// Bytes of metadata per empty file with a name of 12 bytes, and how they split.
    private static func printCosts() throws {
        let files = 100_000
        let tree = try makeTree()
        var before = tree.usage.chargedBytes
        var nodes: [NodeID] = []
        for _ in 0..<files { nodes.append(try tree.makeTemporary(in: .root, mode: 0o644, by: caller).node) }
        let slots = tree.usage.chargedBytes - before
        for node in nodes { tree.forget(node, count: 1) }
        precondition(tree.usage.chargedBytes == before, "temporary files were not freed to the byte")

        // Names alone: each is one more of the same file.
        let target = try tree.makeTemporary(in: .root, mode: 0o644, by: caller).node
        let folders = try (0..<1000).map { try makeFolder("n\($0)", in: tree) }
        before = tree.usage.chargedBytes
        for number in 0..<files {
            let name = name(number)
            _ = try name.withRawSpan { (name) throws(Errno) in
                try tree.link(target, as: name, in: folders[number / (files / folders.count)])
            }
        }
        let names = tree.usage.chargedBytes - before
        let record = 18 + 2
        let slot = Double(slots) / Double(files)
        let name = Double(names) / Double(files)
        print(
            """
            an empty file with a name of 12 bytes, \(files) in \(folders.count) directories:
              \(tenths(slot + name)) bytes: slot \(tenths(slot)), name 12, its record \(record), \
            index and room in its leaf \(tenths(name - 12 - Double(record)))
            """)
        if slot + name > 200 { exit(1) }
    }

    private static func tenths(_ number: Double) -> String {
        let rounded = Int((number * 10).rounded())
        return "\(rounded / 10).\(rounded % 10)"
    }

    static func makeFolder(_ name: String, in tree: Tree) throws -> NodeID {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            try tree.makeDirectory(name, in: .root, mode: 0o755, by: caller).node
        }
    }

    // MARK: Charges against what the kernel says

    /// Names, xattrs and small contents: what is charged must be what the process has grown by.
    private static func compareGrowth(nodes count: Int) throws {
        // Without the overhead that a policy may charge for the chunks of sequential files: that is a price.
        let tree = try Tree(
            TreeConfiguration(limits: Limits(bytes: 4 << 30), storage: StoragePolicy(chunkOverheadBytes: 0)))
        let folders = try (0..<200).map { try makeFolder("n\($0)", in: tree) }
        let usedBefore = tree.usage.chargedBytes
        let residentBefore = try residentBytes()
        for number in 0..<count { try makeNode(number, folders[number % folders.count], tree) }
        let used = tree.usage.chargedBytes - usedBefore
        let growth = try residentBytes() - residentBefore
        print(
            """
            \(count) nodes with names, xattrs and contents: charged \(Table.mebibytes(used)) MiB, \
            resident growth \(Table.mebibytes(growth)) MiB, difference \(Table.mebibytes(growth - used)) MiB
            """)
        // Neither may memory be missing from the charges, nor charges stand for nothing.
        let isTrue = abs(growth - used) < used / 50 + 4 << 20
        for number in 0..<count { try dropNode(number, folders[number % folders.count], tree) }
        let left = try residentBytes() - residentBefore
        print(
            "  all removed: charged \(tree.usage.chargedBytes - usedBefore) bytes, "
                + "resident growth \(Table.mebibytes(left)) MiB")
        if !isTrue || tree.usage.chargedBytes != usedBefore || left > 16 << 20 { exit(1) }
    }

    private static func makeNode(_ number: Int, _ folder: NodeID, _ tree: Tree) throws(Errno) {
        let name = name(number)
        let content = Patterns.stamp(number, number % 5 * 300)
        let node = try name.withRawSpan { (name) throws(Errno) in
            try tree.create(name, in: folder, mode: 0o644, exclusive: true, by: caller).node
        }
        _ = try content.withRawSpan { (content) throws(Errno) in
            try tree.write(content, to: node, at: 0, droppingPrivileges: false)
        }
        if number % 3 == 0 {
            try Array("user.name".utf8).withRawSpan { (xattr) throws(Errno) in
                try content.withRawSpan { (content) throws(Errno) in
                    try tree.setExtendedAttribute(xattr, of: node, to: content, [], by: caller)
                }
            }
        }
        tree.forget(node, count: 1)
    }

    private static func dropNode(_ number: Int, _ folder: NodeID, _ tree: Tree) throws(Errno) {
        try name(number).withRawSpan { (name) throws(Errno) in try tree.unlink(name, in: folder) }
    }

    /// Of this process, exact: the kernel walks the page tables for it.
    private static func residentBytes() throws -> Int {
        let text = try Files.text(of: "/proc/self/smaps_rollup")
        for line in text.split(separator: "\n") where line.hasPrefix("Rss:") {
            return (Int(line.split(separator: " ")[1]) ?? 0) << 10
        }
        throw Damage(description: "no Rss in smaps_rollup")
    }
}
