import Accounting
import ArgumentParser
import Basics
import Storage
import Tree

/// What each operation takes as the tree grows, and as one directory does.
///
/// What is not measured: the growth of files, libfuse and the kernel, and what the machine's caches would do
/// for a row of operations in one place: the places are random.
struct Growth: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The cost of each operation as the tree grows, and as one directory grows.")

    @Option(help: "How many nodes the largest tree has; they grow by tens from 1000. 10 million take 3 GiB.")
    var nodes = 10_000_000

    @Option(help: "How many names the largest directory has; they grow by tens from 10.")
    var names = 1_000_000

    @Option(help: "How often each operation is done in a round.")
    var count = 20_000

    @Option(help: "How many rounds at each size; the median counts for times, the most for allocations.")
    var rounds = 3

    @Flag(help: "Take memory in huge pages, as a mount does with --huge within_size.")
    var hugePages = false

    private static let filesPerFolder = 1000
    private static let shown: [Operation] = [
        .lookup, .lookupAbsent, .attributes, .create, .write, .overwrite, .read, .rename, .unlink,
    ]

    func validate() throws {
        guard nodes >= 1000, names >= 10, count > 0, rounds > 0 else {
            throw ValidationError(
                "--nodes must be 1000 or more, --names 10 or more, --count and --rounds above 0")
        }
    }

    func run() throws {
        try show("nodes in the tree", sizes(from: 1000, to: nodes)) { $0 / Self.filesPerFolder }
        try show("names in one directory", sizes(from: 10, to: names)) { _ in 1 }
    }

    private func sizes(from first: Int, to last: Int) -> [Int] {
        Array(sequence(first: first) { $0 * 10 > last ? nil : $0 * 10 })
    }

    /// One row a size: ns for each operation, and the most allocations that any of them made.
    private func show(_ what: String, _ sizes: [Int], folders: (Int) -> Int) throws {
        var table = Table([what] + Self.shown.map { "\($0.rawValue)" } + ["most allocations"])
        for size in sizes {
            let tree = try Tree(
                TreeConfiguration(
                    limits: Limits(bytes: 16 << 30), storage: StoragePolicy(takesHugePages: hugePages)))
            let population = try Population(files: size, folderCount: folders(size), in: tree)
            // A directory must stay the size that the row names: fewer new names go into a small one.
            let count = min(count, max(size, 1000))
            let costs = try costs(
                of: BareTree(tree), population, count: count, rounds: rounds, large: false)
            let summaries = Self.shown.compactMap { costs[$0] }
            let times = summaries.map { decimal($0.nanoseconds, places: 0) }
            let allocations = summaries.map(\.allocations).max() ?? 0
            table.add(["\(size)"] + times + [decimal(allocations, places: 3)])
        }
        print(table)
    }
}
