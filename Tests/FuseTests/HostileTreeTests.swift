import Support
import Testing

@Suite("Hostile requests to a tree")
struct HostileTreeTests {
    /// How many requests: DMEMFS_HOSTILE asks for more than a quick check needs.
    private static let requests = Generator.number("DMEMFS_HOSTILE", usual: 20_000)
    private static let each = 10_000

    @Test("whatever the fields of requests say, the answer is sane and the tree stays whole")
    func hostileRequests() throws {
        let first = Generator.seed(usual: 1)
        for round in 0..<max(1, Self.requests / Self.each) {
            let seed = first &+ UInt64(round)
            do {
                var run = try HostileRun(seed: seed)
                try run.run(requests: Self.each)
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
    }
}
