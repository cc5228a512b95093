import Accounting
import Basics
import Storage
import Tree

/// What the kernel holds for each file of a private tmpfs beside its pages, and what is charged for it.
enum BackedFiles {
    private static let files = 50_000

    /// Prints both. The kernel's figure is the whole machine's: nothing else should run meanwhile.
    static func compare() throws {
        let tmpfs: PrivateTmpfs
        do throws(Errno) {
            tmpfs = try PrivateTmpfs(bytes: 4 << 30)
        } catch {
            return print("SKIPPED: no private tmpfs can be made here: \(error)")
        }
        var configuration = TreeConfiguration(limits: Limits(bytes: 4 << 30))
        configuration.tmpfs = tmpfs
        let tree = try Tree(configuration)
        let start = try slabBytes()
        var nodes: [NodeID] = []
        for _ in 0..<files {
            let node = try tree.makeTemporary(in: .root, mode: 0o644, by: BareTree.caller).node
            _ = try [1].withRawSpan { (byte) throws(Errno) in
                try tree.write(byte, to: node, at: 0, droppingPrivileges: false)
            }
            nodes.append(node)
        }
        let grown = try slabBytes() - start
        print(
            """
            \(files) files of one byte on a private tmpfs:
              kernel memory for each, beside its page  \(grown / files)
              charged for that                         \(PrivateTmpfs.fileCost)

            """)
        for node in nodes { tree.forget(node, count: 1) }
        precondition(tmpfs.usedBytes == 0, "files were removed, and their pages are still there")
    }

    private static func slabBytes() throws -> Int {
        let lines = try Files.text(of: "/proc/meminfo").split(separator: "\n")
        let line = lines.first { $0.hasPrefix("Slab:") }?.split(separator: " ")
        return (line.flatMap { Int($0[1]) } ?? 0) << 10
    }
}
