import Accounting
import ArgumentParser
import Basics
import Daemon
import Storage
import Tree

/// What the memory guard costs a write that makes a file grow: overwrites never ask it.
///
/// What is not measured: a guard that refuses, several threads that write at once, and a mount, beside whose
/// round trips the guard's part is less still.
struct GuardCost: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guard",
        abstract: "ns per 4 KiB write on the bare tree, without and with the memory guard.")

    @Option(help: "How many rounds; the two kinds take turns in each.")
    var rounds = 20

    @Option(help: "How many writes a round and kind.")
    var writes = 16_384

    @Option(help: "Fail where the ratio of writes per second is below, in percent; 0 for never.")
    var atLeast = 0

    private static let pageBytes = 4096
    private static let turnWrites = 256

    func validate() throws {
        guard rounds > 0, writes > 0, writes % Self.turnWrites == 0 else {
            throw ValidationError("rounds must be above 0, and writes a multiple of \(Self.turnWrites)")
        }
    }

    func run() throws {
        // Pages that are kept cost no page fault, so that the guard's part is as large as it gets.
        let kinds = [("fresh pages", 8 << 20), ("kept pages", writes * Self.pageBytes * 2)]
        var isGood = true
        for (name, keptBytes) in kinds {
            var times: [[Double]] = [[], []]
            for round in 0..<rounds {
                // New trees each round: where their memory happens to lie is worth more than the guard.
                let modes: [MemoryGuard.Mode] = round % 2 == 0 ? [.none, .perWrite] : [.perWrite, .none]
                let trees = try modes.map { try tree(keeping: keptBytes, mode: $0) }
                // Once to warm up.
                _ = try time(trees)
                let nanoseconds = try time(trees)
                for index in 0...1 { times[(index + round) % 2].append(Double(nanoseconds[index])) }
            }
            let (without, with) = (medianOf(times[0]), medianOf(times[1]))
            let ratio = without / max(1, with)
            isGood = isGood && ratio * 100 >= Double(atLeast)
            print(
                "4 KiB writes, \(name): none \(decimal(without, places: 0)) ns, "
                    + "per_write \(decimal(with, places: 0)) ns, ratio \(decimal(ratio, places: 3)) "
                    + "(median of \(rounds) rounds)")
        }
        if !isGood { throw ExitCode.failure }
    }

    private func tree(keeping bytes: Int, mode: MemoryGuard.Mode) throws(Errno) -> Tree {
        let memory = AvailableMemory()
        var configuration = TreeConfiguration(
            limits: Limits(bytes: writes * Self.pageBytes * 2 + (64 << 20)),
            storage: StoragePolicy(keptFreeBytes: bytes))
        configuration.memoryGuard = MemoryGuard(
            MemoryGuard.Policy(mode: mode), available: { memory.reading() },
            milliseconds: { Files.coarseMilliseconds() })
        return try Tree(configuration)
    }

    /// Writes a new file in each tree from its start to its end, and returns the nanoseconds per write, of
    /// this thread's processor time: nothing here waits.
    ///
    /// The trees take turns every few writes, so that what else the machine does meets both alike.
    private func time(_ trees: [Tree]) throws(Errno) -> [Int] {
        let caller = Caller(user: 0, group: 0, process: 0)
        let name = Array("file".utf8)
        let page = [UInt8](repeating: 1, count: Self.pageBytes)
        var files: [NodeID] = []
        for tree in trees {
            files.append(
                try name.withRawSpan { (name) throws(Errno) in
                    try tree.create(name, in: .root, mode: 0o600, exclusive: true, by: caller).node
                })
        }
        var nanoseconds = [Int](repeating: 0, count: trees.count)
        for turn in 0..<max(1, writes / Self.turnWrites) {
            for index in turn % 2 == 0 ? [0, 1] : [1, 0] {
                let start = Thread.processorNanoseconds()
                try Self.write(page, to: files[index], of: trees[index], turn: turn)
                nanoseconds[index] += Thread.processorNanoseconds() - start
            }
        }
        for (tree, file) in zip(trees, files) {
            try name.withRawSpan { (name) throws(Errno) in try tree.unlink(name, in: .root) }
            tree.forget(file, count: 1)
        }
        return nanoseconds.map { $0 / writes }
    }

    private static func write(
        _ page: [UInt8], to file: NodeID, of tree: Tree, turn: Int
    ) throws(Errno) {
        try page.withRawSpan { (bytes) throws(Errno) in
            for index in turn * turnWrites..<(turn + 1) * turnWrites {
                _ = try tree.write(
                    bytes, to: file, at: Int64(index * pageBytes), droppingPrivileges: false)
            }
        }
    }
}
