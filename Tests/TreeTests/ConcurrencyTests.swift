import Accounting
import Storage
import Support
import Testing

@Suite("The tree and many threads")
struct ConcurrencyTests {
    /// How many operations each thread does: DMEMFS_STRESS asks for more than a quick check needs.
    private static let steps = Generator.number("DMEMFS_STRESS", usual: 10_000)

    @Test(
        "threads in the same directories and files leave the tree whole, and nothing behind",
        arguments: [StoragePolicy.Kind.auto, .randomAccess])
    func sharedTree(kind: StoragePolicy.Kind) throws {
        let stress = try TreeStress(
            limits: Limits(bytes: 4 << 20, nodes: 60), storage: StoragePolicy(kind: kind))
        try stress.run(threads: 4, steps: Self.steps, seed: Generator.seed(usual: 1))
    }
}
