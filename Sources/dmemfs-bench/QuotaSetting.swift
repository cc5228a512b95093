import Accounting
import ArgumentParser
import Basics
import Synchronization
import Tree

/// How long it takes to set and to remove a quota on a directory with much in it, and a limit of the user who
/// owns it all, and how long others wait meanwhile.
///
/// Not measured: a mount. A wait is of the clock on the wall, so that other programs' work counts.
struct QuotaSetting: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota-set",
        abstract:
            "Set and remove quotas on a tree of many nodes, and the longest wait of a lookup meanwhile.")

    @Option(help: "How many files, a thousand a directory.")
    var files = 1_000_000

    private static let caller = Caller(user: 0, group: 0, process: 0)

    /// The longest that one of many lookups took, in microseconds.
    private final class Waits: Sendable {
        let longest = Atomic<Int>(0)
        let count = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
        let hasEnded = Atomic<Bool>(false)

        func watch(_ tree: Tree, _ node: NodeID) {
            let clock = ContinuousClock()
            while !isOver.load(ordering: .relaxed) {
                let duration = clock.measure {
                    do throws(Errno) {
                        let found = try Array("d0".utf8).withRawSpan { (name) throws(Errno) in
                            try tree.lookup(name, in: node).node
                        }
                        tree.forget(found, count: 1)
                    } catch {
                        return
                    }
                }
                let (seconds, attoseconds) = duration.components
                let microseconds = Int(seconds) * 1_000_000 + Int(attoseconds / 1_000_000_000_000)
                longest.max(microseconds, ordering: .relaxed)
                count.wrappingAdd(1, ordering: .relaxed)
            }
            hasEnded.store(true, ordering: .releasing)
        }
    }

    func run() throws {
        let tree = try Tree(TreeConfiguration(limits: Limits(bytes: 16 << 30)))
        let top = try make("top", in: .root, of: tree, isDirectory: true)
        for folder in 0..<max(1, files / 1000) {
            let directory = try make("d\(folder)", in: top, of: tree, isDirectory: true)
            for file in 0..<min(files, 1000) {
                tree.forget(try make("f\(file)", in: directory, of: tree, isDirectory: false), count: 1)
            }
        }
        var request = QuotaRequest()
        request.nodes = .to(files * 2)
        try report("set", tree, top) { () throws(QuotaRefusal) in
            _ = try tree.setQuota(of: top, to: request)
        }
        try report("remove", tree, top) { () throws(QuotaRefusal) in try tree.removeQuota(of: top) }
        let user = Self.caller.user
        try report("set for the user", tree, top) { () throws(QuotaRefusal) in
            _ = try tree.setQuota(ofUser: user, to: request)
        }
        try report("remove for the user", tree, top) { () throws(QuotaRefusal) in
            _ = try tree.removeQuota(ofUser: user)
        }
    }

    private func report(
        _ what: String, _ tree: Tree, _ top: NodeID, _ body: () throws(QuotaRefusal) -> Void
    ) throws {
        let waits = Waits()
        try Thread.start { waits.watch(tree, top) }
        while waits.count.load(ordering: .relaxed) == 0 { Thread.pause(microseconds: 100) }
        let start = ContinuousClock.now
        try body()
        let duration = ContinuousClock.now - start
        waits.isOver.store(true, ordering: .relaxed)
        while !waits.hasEnded.load(ordering: .acquiring) { Thread.pause(microseconds: 100) }
        let longest = waits.longest.load(ordering: .relaxed)
        print(
            "\(what): \(tree.usage.nodes) nodes in \(duration), meanwhile "
                + "\(waits.count.load(ordering: .relaxed)) lookups, the longest \(longest) µs")
    }

    private func make(
        _ name: String, in parent: NodeID, of tree: Tree, isDirectory: Bool
    ) throws(Errno) -> NodeID {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in
            isDirectory
                ? try tree.makeDirectory(name, in: parent, mode: 0o755, by: Self.caller).node
                : try tree.create(name, in: parent, mode: 0o644, exclusive: true, by: Self.caller).node
        }
    }
}
