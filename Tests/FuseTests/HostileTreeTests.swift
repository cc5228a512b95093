import Accounting
import Basics
import Glibc
import Serving
import Support
import Testing
import Tree

@Suite("Hostile requests to a tree")
struct HostileTreeTests {
    /// How many requests: DMEMFS_HOSTILE asks for more than a quick check needs.
    private static let requests = Generator.number("DMEMFS_HOSTILE", usual: 20_000)
    private static let each = 10_000

    /// A request holds the file and a worker: it must not take as long as the file is.
    @Test("seeking in a file of the largest size takes no time, whatever of it the kernel has read")
    func seekingInTheLargestFile() throws {
        let tree = try Tree(TreeConfiguration(limits: Limits(bytes: 1 << 20)))
        let loopback = try Loopback.initialized(serving: TreeServer(tree))
        let file = loopback.create("f").entry.node
        let size = Int64.max
        #expect(loopback.setattr(file, valid: 1 << 3, size: UInt64(size)).error == 0)
        #expect(loopback.write([1], to: file, at: 1 << 40).error == 0)
        for offset in [0, 1 << 50, size - 1] {
            #expect(loopback.read(file, at: offset, count: 4096).error == 0)
        }
        #expect(loopback.lseek(file, from: 5, whence: 4).offset == UInt64(size), "the whole may be dirty")
        #expect(loopback.lseek(file, from: 5, whence: 3).offset == 5)
        #expect(loopback.setattr(file, valid: 1 << 3, size: 1 << 41).error == 0)
        #expect(loopback.setattr(file, valid: 1 << 3, size: 1 << 20).error == 0)
        #expect(loopback.lseek(file, from: 0, whence: 4).offset == 1 << 20)
    }

    @Test("whatever the fields of requests say, the answer is sane and the tree stays whole")
    func hostileRequests() throws {
        let first = Generator.seed(usual: 1)
        for round in 0..<max(1, Self.requests / Self.each) {
            let seed = first &+ UInt64(round)
            // No request may take long, or it would hold a worker and a lock for so long.
            let watchdog = try Watchdog(seconds: 300) {
                print("seed \(seed) hangs:\n\(Stacks.of(getpid()))")
                abort()
            }
            defer { watchdog.disarm() }
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
