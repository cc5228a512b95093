import Basics
import Glibc
import Support
import Testing

@Suite(
    "Many threads on a mount", .serialized,
    .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"))
struct StressTests {
    /// How long: DMEMFS_STRESS_SECONDS asks for more than a quick check needs.
    private static let seconds = Generator.number("DMEMFS_STRESS_SECONDS", usual: 3)

    @Test(
        "threads in the same directories and files find what they should, and leave nothing behind",
        arguments: MountFixture.engines, [["--size", "256M"], ["--size", "2M", "--max-nodes", "200"]])
    func sharedMount(engine: String, limits: [String]) throws {
        try MountFixture.use(limits + ["--io", engine], seconds: Self.seconds + 300) { mount in
            let start = try mount.usedBytes()
            let stress = try MountStress(mount, readsWhole: engine == "memory")
            let seed = Generator.seed(usual: UInt64.random(in: 0...UInt64.max))
            let failures = try stress.run(threads: 8, seconds: Self.seconds, seed: seed)
            print("\(engine) \(limits.joined(separator: " ")): \(stress.steps) steps, seed \(seed)")
            #expect(failures.isEmpty, "seed \(seed)")
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    @Test("when nothing moves, the stacks of the daemon tell where it stands")
    func stacksOfAStalledDaemon() throws {
        try MountFixture.use(["--size", "8M"]) { mount in
            try Program.stop(mount.process)
            defer { _ = kill(mount.process, SIGCONT) }
            let watch = StallWatch()
            let path = mount.path / "nothing"
            let process = mount.process
            var stat: (any Error)?
            let wentOn = watch.watch(seconds: 1) {
                do { _ = try Kernel.stat(path) } catch { stat = error }
            } alarm: {
                let stacks = Stacks.of(process)
                let isTold = stacks.contains("dmemfs-fuse") && stacks.contains("do_signal_stop")
                print(isTold ? "the stacks are told" : stacks)
                if isTold { _ = kill(process, SIGCONT) }
            }
            #expect(!wentOn)
            #expect(stat as? Errno == .noSuchFileOrDirectory)
        }
    }
}
