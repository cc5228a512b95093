package import Accounting
import Basics
import Glibc
package import Storage
import Synchronization
import Tree

/// Threads that work in the same directories and the same files of a bare tree, with nothing in between: what
/// the thread sanitizer looks at, and the lock order.
///
/// Files are written in whole blocks of one byte each, so that a read must find each block uniform. Every
/// thread gives back the lookups it takes, and uses an ID only as long as it has one, as the kernel does.
package final class TreeStress: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    static let blockBytes = 4096
    static let caller = Caller(user: 0, group: 0, process: 1)
    let tree: Tree
    private let folders: [NodeID]
    private let start: Usage
    private let failure = Atomic<Bool>(false)

    package init(limits: Limits, storage: StoragePolicy = StoragePolicy()) throws {
        let tree = try Tree(TreeConfiguration(limits: limits, storage: storage))
        self.tree = tree
        start = tree.usage
        folders = try (0..<3).map { number in
            try Array("d\(number)".utf8).withRawSpan { (name) throws(Errno) in
                try tree.makeDirectory(name, in: .root, mode: 0o755, by: Self.caller).node
            }
        }
    }

    /// Runs `threads` threads with `steps` operations each, takes everything away, and checks what is left.
    package func run(threads: Int, steps: Int, seed: UInt64) throws {
        Threads.together(threads) { [self] thread in
            var worker = TreeStressWorker(self, seed: seed &+ UInt64(thread) &* 7919)
            for _ in 0..<steps where !failure.load(ordering: .relaxed) {
                do {
                    try worker.step()
                } catch {
                    print("thread \(thread), seed \(seed): \(error)")
                    failure.store(true, ordering: .relaxed)
                }
            }
            worker.finish()
        }
        if failure.load(ordering: .relaxed) { throw Failure(description: "a thread met what it should not") }
        tree.checkInvariants()
        try empty(.root)
        for folder in folders { tree.forget(folder, count: 1) }
        tree.checkInvariants()
        let end = tree.usage
        guard end.chargedBytes == start.chargedBytes, end.nodes == 1, end.openUnlinkedBytes == 0 else {
            throw Failure(description: "something is left: \(end), where there was \(start)")
        }
    }

    func folder(_ random: inout Generator) -> NodeID { random.pick(folders) }

    private func empty(_ directory: NodeID) throws(Errno) {
        var names: [(name: [UInt8], node: NodeID, isDirectory: Bool)] = []
        try tree.list(directory, after: 2, counting: false) { name, _, entry in
            names.append((name.copied(), entry.node, entry.attributes.mode & 0o170000 == 0o040000))
            return true
        }
        for entry in names {
            if entry.isDirectory { try empty(entry.node) }
            let tree = tree
            try entry.name.withRawSpan { (name) throws(Errno) in
                if entry.isDirectory {
                    try tree.removeDirectory(name, in: directory)
                } else {
                    try tree.unlink(name, in: directory)
                }
            }
        }
    }
}
