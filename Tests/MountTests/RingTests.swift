import Basics
import CLinux
import Glibc
import Support
import Testing

@Suite(
    "Requests over io_uring", .serialized,
    .enabled(if: KernelRings.canSet, "the kernel's FUSE over io_uring cannot be switched on"))
struct RingTests {
    private func use(_ arguments: [String], _ body: (MountFixture) throws -> Void) throws {
        try KernelRings.with(offered: true) {
            try MountFixture.use(["--io-uring"] + arguments, body)
        }
    }

    @Test(
        "every POSIX case passes",
        arguments: [["--acl"]] + MountFixture.kernelEngines.map { ["--io", $0] })
    func posix(options: [String]) throws {
        try use(["--size", "1G"] + options) { mount in
            let start = try mount.usedBytes()
            PosixTests.report(
                PosixCases.all + (options == ["--acl"] ? PosixCases.accessLists : []), below: mount.path)
            let left = try mount.settledUsage(start)
            #expect(left == start, "everything was removed")
        }
    }

    @Test("threads in the same directories and files find what they should", arguments: MountFixture.engines)
    func stress(engine: String) throws {
        try use(["--size", "64M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let stress = try MountStress(mount, readsWhole: engine == "memory")
            let seed = Generator.seed(usual: UInt64.random(in: 0...UInt64.max))
            let seconds = Generator.number("DMEMFS_STRESS_SECONDS", usual: 3)
            let failures = try stress.run(threads: 8, seconds: seconds, seed: seed)
            #expect(failures.isEmpty, "seed \(seed)")
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    @Test("the requests come through the rings, and forgets alone through the device")
    func rings() throws {
        try use(["--size", "8M"]) { mount in
            #expect("\(try mount.status())".contains("\"transport\" : \"io_uring\""))
            let before = try Self.switches(of: mount.process)
            // What is not there is not forgotten.
            for number in 0..<500 {
                #expect(throws: Errno.noSuchFileOrDirectory) {
                    try Kernel.stat(mount.path / "none-\(number)")
                }
            }
            let after = try Self.switches(of: mount.process)
            let rings = after.rings - before.rings
            let workers = after.workers - before.workers
            #expect(rings >= 100 && workers < 50, "\(rings) switches of ring threads, \(workers) of workers")
        }
    }

    @Test("large requests, small ones and the largest xattr keep their bytes, and memory stays bounded")
    func sizes() throws {
        try use(["--size", "64M"]) { mount in
            let bytes = (0..<(4 << 20) + 1).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 9) }
            let file = try Kernel.open(mount.path / "large", O_RDWR | O_CREAT)
            try Kernel.write(file, bytes, at: 0)
            _ = posix_fadvise(file, 0, 0, Int32(POSIX_FADV_DONTNEED))
            let read = try Kernel.read(file, at: 0, bytes.count)
            #expect(read == bytes)
            try Kernel.close(file)
            let value = Array(bytes.prefix(65536))
            try Kernel.setXattr(mount.path / "large", "user.large", value)
            let kept = try Kernel.xattr(mount.path / "large", "user.large")
            #expect(kept == value)
            let status = try mount.status()
            let excess = try status.number("resident_bytes") - status.number("used_bytes")
            #expect(excess <= 32 << 20)
        }
    }

    @Test("a daemon that is killed leaves callers an error, and a mount that can be taken away")
    func killed() throws {
        try KernelRings.with(offered: true) {
            let mount = try MountFixture(["--size", "64M", "--io-uring"])
            let callers = try Self.startCallers(on: mount)
            try Self.awaitRequests(of: mount)
            _ = kill(mount.process, SIGKILL)
            for caller in callers {
                let ended = try Program.wait(for: caller, seconds: 20)
                #expect(ended != nil, "a caller hangs")
            }
            #expect(throws: Errno.socketNotConnected) { try Kernel.stat(mount.path / "x") }
            let trouble = mount.stop()
            #expect(trouble?.contains("ended with 137") == true && trouble?.contains("umount") != true)
        }
    }

    @Test("callers that are killed in the middle of requests leave nothing behind")
    func dyingCallers() throws {
        try use(["--size", "8M"]) { mount in
            let start = try mount.usedBytes()
            for _ in 0..<10 {
                let callers = try Self.startCallers(on: mount)
                try Self.awaitRequests(of: mount)
                for caller in callers { _ = kill(-caller, SIGKILL) }
                for caller in callers {
                    let ended = try Program.wait(for: caller, seconds: 20)
                    #expect(ended == 128 + SIGKILL)
                }
            }
            // What a killed shell has started to remove may go by itself.
            for entry in try Kernel.list(mount.path) { _ = try? Kernel.unlink(mount.path / entry.text) }
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    @Test("a mount in use is not taken away; in the end it is, and the daemon ends well")
    func busy() throws {
        try use(["--size", "8M"]) { mount in
            let file = try Kernel.open(mount.path / "held", O_RDWR | O_CREAT)
            #expect(throws: Errno.resourceBusy) { try Kernel.unmount(mount.path, flags: 0) }
            try Kernel.write(file, [1, 2, 3], at: 0)
            try Kernel.close(file)
        }
    }

    @Test("a lazily unmounted filesystem ends with its last open file")
    func lazily() throws {
        try KernelRings.with(offered: true) {
            let mount = try MountFixture(["--size", "8M", "--io-uring"])
            let file = try Kernel.open(mount.path / "held", O_RDWR | O_CREAT)
            try Kernel.unmount(mount.path, flags: linux_umount_detach)
            try Kernel.write(file, [1, 2, 3], at: 0)
            let read = try Kernel.read(file, at: 0, 3)
            #expect(read == [1, 2, 3])
            try Kernel.close(file)
            let ended = try Program.wait(for: mount.process, seconds: 20)
            #expect(ended == 0, "\(mount.said())")
            _ = mount.stop()
        }
    }

    @Test("SIGTERM ends a daemon whose mount is in use when its time is up")
    func stopped() throws {
        try KernelRings.with(offered: true) {
            let mount = try MountFixture(["--size", "8M", "--io-uring", "--stop-timeout", "1ms"])
            let file = try Kernel.open(mount.path / "held", O_RDWR | O_CREAT)
            _ = kill(mount.process, SIGTERM)
            let ended = try Program.wait(for: mount.process, seconds: 20)
            #expect(ended == 0, "\(mount.said())")
            #expect(throws: (any Error).self) { try Kernel.write(file, [1], at: 0) }
            _ = Glibc.close(file)
            _ = mount.stop()
        }
    }

    @Test("a connection that is aborted ends the daemon, and leaves no caller waiting")
    func aborted() throws {
        try KernelRings.with(offered: true) {
            let mount = try MountFixture(["--size", "8M", "--io-uring"])
            // In use, so that the forced unmount does no more than to abort.
            let file = try Kernel.open(mount.path / "held", O_RDWR | O_CREAT)
            mount.aborter()
            #expect(throws: (any Error).self) { try Kernel.write(file, [1], at: 0) }
            _ = Glibc.close(file)
            let ended = try Program.wait(for: mount.process, seconds: 20)
            #expect(ended != nil, "the daemon hangs")
            _ = mount.stop()
        }
    }

    @Test("where the kernel does not offer it the mount fails, says why, and what to do")
    func refused() throws {
        try KernelRings.with(offered: false) {
            let error = #expect(throws: MountFixture.Failure.self) {
                _ = try MountFixture(["--size", "8M", "-o", "io_uring"])
            }
            let said = "\(error.map { "\($0)" } ?? "")"
            #expect(said.contains("/sys/module/fuse/parameters/enable_uring is N"), "\(said)")
            #expect(said.contains("'echo Y >"), "\(said)")
        }
    }

    // MARK: Help

    /// How often the two kinds of threads of the daemon have given their processor away.
    private static func switches(of process: Int32) throws -> (rings: Int, workers: Int) {
        var counts = ["dmemfs-ring": 0, "dmemfs-fuse": 0]
        let tasks = Path("/proc/\(process)/task")
        for task in try Kernel.list(tasks) {
            let status = Files.lines(of: "\(tasks)/\(task.text)/status").map { $0.split(separator: "\t") }
            guard let name = status.first?.last.map(String.init), let count = counts[name] else { continue }
            let own = status.filter { $0.first?.hasSuffix("voluntary_ctxt_switches:") == true }
            counts[name] = own.reduce(count) { $0 + (Int($1.last ?? "") ?? 0) }
        }
        return (counts["dmemfs-ring"] ?? 0, counts["dmemfs-fuse"] ?? 0)
    }

    /// Programs that make requests until one fails.
    private static func startCallers(on mount: MountFixture) throws -> [Int32] {
        let output = try Kernel.open("/dev/null", O_WRONLY)
        defer { _ = Glibc.close(output) }
        // Each its own names: an rm whose shell was killed may still be about to remove one.
        let script = "while echo x >f$$ && rm f$$; do :; done"
        return try (0..<4).map { _ in
            try Program.start(["sh", "-c", script], in: mount.path, output: output)
        }
    }

    /// Waits until callers have made requests for a while.
    private static func awaitRequests(of mount: MountFixture) throws {
        let start = try switches(of: mount.process).rings
        try #require(try Patience.until { try switches(of: mount.process).rings >= start + 1000 })
    }
}
