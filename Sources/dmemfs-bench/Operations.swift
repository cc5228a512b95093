import Accounting
import ArgumentParser
import Basics
import Support
import Tree

/// What each operation of the tree takes, by itself and through libfuse: operations a second, and how often
/// the heap is asked for memory.
///
/// What is not measured: a mount (see `mounts`), several threads, and what the subjects' own files say.
struct Operations: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Speed and allocations of each operation on the bare tree, and through libfuse.")

    @Flag(help: "Fail where an operation allocates more than the table in Operations.swift allows.")
    var check = false

    @Option(help: "How many rounds; the median counts for times, the most for allocations.")
    var rounds = 5

    @Option(help: "How often each operation is done in a round.")
    var count = 10_000

    /// How often an operation may ask the heap for memory, on the bare tree and through libfuse. What libfuse
    /// takes is its own: one request each, and for an answer of several pieces the list of them.
    private static let mostAllocations: [Operation: (tree: Double, libfuse: Double)] = [
        .lookup: (0, 1),
        .lookupAbsent: (0, 1),
        .attributes: (0, 1),
        .create: (0, 1),
        .write: (0, 1),
        .overwrite: (0, 1),
        .read: (0, 1),
        .writeLarge: (0, 1),
        .overwriteLarge: (0, 1),
        .readLarge: (0, 2),
        .rename: (0, 1),
        .unlink: (0, 2),
    ]

    private static let files = 10_000
    private static let folders = 100

    func validate() throws {
        guard rounds > 0, count > 0 else { throw ValidationError("--rounds and --count must be above 0") }
    }

    func run() throws {
        let tree = try Tree(TreeConfiguration(limits: Limits(bytes: 4 << 30)))
        let population = try Population(files: Self.files, folderCount: Self.folders, in: tree)
        let bare = try costs(of: BareTree(tree), population, count: count, rounds: rounds, large: true)
        let loopback = try LoopbackSubject(tree)
        let libfuse = try costs(of: loopback, population, count: count, rounds: rounds, large: true)
        var table = Table([
            "operation", "tree, ns", "a second", "allocations", "libfuse, ns", "a second", "allocations",
        ])
        for operation in Operation.allCases {
            guard let alone = bare[operation], let through = libfuse[operation] else { continue }
            table.add([operation.rawValue] + alone.words + through.words)
        }
        print(table)
        let faults =
            Self.faults(bare, "on the tree", \.tree) + Self.faults(libfuse, "through libfuse", \.libfuse)
        for fault in faults { print(fault) }
        if check, !faults.isEmpty { throw ExitCode.failure }
    }

    private static func faults(
        _ costs: [Operation: Cost], _ place: String,
        _ most: (((tree: Double, libfuse: Double)) -> Double)
    ) -> [String] {
        Operation.allCases.compactMap { operation in
            guard let cost = costs[operation], let limit = mostAllocations[operation] else { return nil }
            // What a thousand operations share is nobody's.
            guard cost.allocations > most(limit) + 0.001 else { return nil }
            let found = decimal(cost.allocations, places: 3)
            let allowed = "\(Int(most(limit))) allowed"
            return "\(operation.rawValue) \(place): \(found) allocations, more than the \(allowed)"
        }
    }
}

extension Cost {
    fileprivate var words: [String] {
        [decimal(nanoseconds, places: 0), rounded(1e9 / nanoseconds), decimal(allocations, places: 3)]
    }
}
