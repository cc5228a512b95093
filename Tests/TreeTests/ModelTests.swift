import Accounting
import Basics
import Glibc
import Serving
import Storage
import Support
import Testing
import Tree

@Suite("The tree and the reference")
struct ModelTests {
    /// What one run of random operations is made with.
    struct Plan: Sendable, CustomStringConvertible {
        var kind: StoragePolicy.Kind
        /// On a private tmpfs.
        var isBacked = false
        var bytes = 1 << 30
        var nodes: Int?
        var seed: UInt64
        /// DMEMFS_MODEL_STEPS asks for more than a quick check needs.
        var steps = unsafe getenv("DMEMFS_MODEL_STEPS").flatMap { unsafe Int(String(cString: $0)) } ?? 1500

        var description: String {
            "\(isBacked ? "backed" : kind.rawValue), \(bytes) bytes, \(nodes ?? 0) nodes, seed \(seed)"
        }
    }

    private static let plans: [Plan] =
        [
            Plan(kind: .auto, seed: 1), Plan(kind: .auto, seed: 2), Plan(kind: .randomAccess, seed: 3),
            Plan(kind: .randomAccess, seed: 4), Plan(kind: .auto, nodes: 12, seed: 5),
            Plan(kind: .randomAccess, nodes: 30, seed: 6),
            Plan(kind: .auto, bytes: 200_000, seed: 7), Plan(kind: .auto, bytes: 60_000, seed: 8),
            Plan(kind: .randomAccess, bytes: 200_000, seed: 9),
            Plan(kind: .randomAccess, bytes: 60_000, seed: 10),
            Plan(kind: .auto, bytes: 100_000, nodes: 15, seed: 11),
        ]
        + (PrivateTmpfs.canBeHad
            ? [
                Plan(kind: .auto, isBacked: true, seed: 12), Plan(kind: .auto, isBacked: true, seed: 13),
                Plan(kind: .auto, isBacked: true, bytes: 400_000, seed: 14),
                Plan(kind: .auto, isBacked: true, bytes: 100_000, nodes: 15, seed: 15),
            ] : [])

    @Test("the same random operations give the same results, and leave nothing behind", arguments: plans)
    func agrees(plan: Plan) throws {
        let limits = Limits(bytes: plan.bytes, nodes: plan.nodes)
        var configuration = TreeConfiguration(limits: limits, storage: StoragePolicy(kind: plan.kind))
        if plan.isBacked { configuration.tmpfs = try PrivateTmpfs(bytes: plan.bytes, descriptors: 8) }
        let tree = try Tree(configuration)
        let subject = ModelSubject(
            TreeServer(tree), usage: { tree.usage }, checkInvariants: { tree.checkInvariants() })
        let canary = unsafe getenv("DMEMFS_CANARY") != nil
        let run = ModelRun(
            subject, seed: Generator.seed(usual: plan.seed), maxNodes: plan.nodes,
            isTight: plan.bytes < 1 << 20,
            isCanary: canary)
        try run.run(steps: plan.steps)
    }
}

@Suite("Random operations across quotas")
struct QuotaModelTests {
    private static let steps = unsafe getenv("DMEMFS_MODEL_STEPS").flatMap { unsafe Int(String(cString: $0)) }
    struct Plan: Sendable {
        var seed: UInt64
        var bytes: Int
        var nodes: Int
        /// On a private tmpfs.
        var isBacked = false
    }

    private static let plans: [Plan] =
        [
            Plan(seed: 1, bytes: 400_000, nodes: 80), Plan(seed: 2, bytes: 2_000_000, nodes: 150),
            Plan(seed: 3, bytes: 150_000, nodes: 60), Plan(seed: 4, bytes: 1_000_000, nodes: 1000),
        ]
        + (PrivateTmpfs.canBeHad
            ? [
                Plan(seed: 5, bytes: 800_000, nodes: 80, isBacked: true),
                Plan(seed: 6, bytes: 4_000_000, nodes: 150, isBacked: true),
            ] : [])

    @Test("borders hold, refusals change nothing, and each level counts what is below it", arguments: plans)
    func agrees(plan: Plan) throws {
        let model = try QuotaModel(
            seed: Generator.seed(usual: plan.seed), bytes: plan.bytes, nodes: plan.nodes,
            isBacked: plan.isBacked)
        let steps = Self.steps ?? 5000
        try model.run(steps: steps, checkEvery: max(50, steps / 2000))
        // A run in which nothing crosses, or nothing is refused, shows nothing.
        let counts = model.counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        let keys = [
            "rename across", "rename across: 18", "link: 18", "set", "rm", "write", "limit", "rm of a limit",
            "chown", "chown: 122", "chown and truncate",
        ]
        for key in keys {
            #expect(model.counts[key] != nil, "no \(key) in \(counts)")
        }
    }
}
