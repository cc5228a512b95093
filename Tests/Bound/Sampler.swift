import Basics
import Control
import Glibc
import Support
import Synchronization

/// Watches one daemon from a thread of its own: what it says it uses, and what it really holds.
final class Sampler: Sendable {
    /// The figures of one moment, in bytes.
    struct Sample: Sendable {
        var resident = 0
        var used = 0
        var limit = 0
        /// Of the cgroup without page cache; 0 where there is no cgroup.
        var group = 0
        var kernel = 0
    }

    /// What all samples together showed.
    struct Worst: Sendable {
        var samples = 0
        var resident = 0
        var used = 0
        /// The most that was held beyond what was reported as used, in bytes.
        var excess = Int.min
        var groupExcess = Int.min
        var group = 0
        var kernel = 0
        var isOverLimit = false
        var failure: String?
    }

    private let process: Int32
    private let mount: MountEntry
    private let group: ControlGroup?
    /// The private tmpfs of the daemon, as the kernel shows it; nil for an engine without one.
    private let tmpfs: Path?
    let empty: Sample
    private let worst = Lock(Worst())
    private let mustEnd = Atomic<Bool>(false)

    init(_ fixture: MountFixture, _ engine: String, _ group: ControlGroup?) throws {
        process = fixture.process
        guard let mount = try MountTable.current().top(at: "\(fixture.path)") else {
            throw Damage(description: "the mount is not in the table of mounts")
        }
        self.mount = mount
        self.group = group
        tmpfs = engine == "strict" ? try Sampler.privateTmpfs(of: process) : nil
        empty = try Sampler.sample(process, mount, group, tmpfs)
    }

    /// It is mounted nowhere: the daemon's descriptor of its root leads there.
    private static func privateTmpfs(of process: Int32) throws -> Path {
        let folder = Path("/proc/\(process)/fd")
        for entry in try Kernel.list(folder) {
            let link = folder / entry.name
            if let target = try? Kernel.readlink(link), target == Array("/".utf8) { return link }
        }
        throw Damage(description: "the daemon has no private tmpfs")
    }

    private static func sample(
        _ process: Int32, _ mount: MountEntry, _ group: ControlGroup?, _ tmpfs: Path?
    ) throws -> Sample {
        let before = try Client.status(of: mount)
        let text = try Files.text(of: "/proc/\(process)/statm")
        var sample = Sample()
        sample.resident = (Int(text.split(separator: " ").dropFirst().first ?? "0") ?? 0) * 4096
        if let tmpfs {
            let found = try Kernel.statvfs(tmpfs)
            sample.resident += Int((found.f_blocks - found.f_bfree) * found.f_frsize)
        }
        if let group {
            sample.group = group.usedBytes - group.cacheBytes
            sample.kernel = group.kernelBytes
        }
        // Between the two questions use may have gone up or down: what is held is of a moment in between.
        let after = try Client.status(of: mount)
        sample.used = max(before.usedBytes, after.usedBytes)
        sample.limit = after.limitBytes
        return sample
    }

    func now() throws -> Sample { try Sampler.sample(process, mount, group, tmpfs) }

    /// Samples until `body` has ended.
    func watch<Result>(_ body: () throws -> Result) rethrows -> (result: Result, worst: Worst) {
        mustEnd.store(false, ordering: .relaxed)
        worst.withLock { $0 = Worst() }
        let thread = Threads.detach { [self] in
            while !mustEnd.load(ordering: .relaxed) {
                take()
                usleep(10_000)
            }
        }
        defer {
            mustEnd.store(true, ordering: .relaxed)
            thread.join()
        }
        let result = try body()
        take()
        return (result, worst.withLock { $0 })
    }

    private func take() {
        do {
            let sample = try now()
            let empty = empty
            worst.withLock { worst in
                worst.samples += 1
                worst.resident = max(worst.resident, sample.resident - empty.resident)
                worst.used = max(worst.used, sample.used)
                worst.excess = max(worst.excess, sample.resident - empty.resident - sample.used)
                worst.groupExcess = max(worst.groupExcess, sample.group - empty.group - sample.used)
                worst.group = max(worst.group, sample.group - empty.group)
                worst.kernel = max(worst.kernel, sample.kernel)
                if sample.used > sample.limit { worst.isOverLimit = true }
            }
        } catch {
            worst.withLock { $0.failure = "\(error)" }
        }
    }
}
