import Accounting
import Basics
import Storage
import Support
import Testing
import Tree

@Suite("Quotas of directories")
struct QuotaTests {
    /// Rule: quotas.levels
    @Test("a directory's quota refuses with EDQUOT, the mount's with ENOSPC, and each counts what is its own")
    func levels() throws {
        let world = try QuotaWorld(bytes: 4 << 20)
        let job = try world.directory("job")
        let inner = try world.directory("inner", in: job)
        try world.set(job, bytes: 1 << 20)
        try world.set(inner, bytes: 256 << 10)
        let file = try world.file("f", in: inner)
        #expect(throws: Errno.diskQuotaExceeded) { try world.write(300 << 10, to: file) }
        try world.write(200 << 10, to: file)
        let other = try world.file("g", in: job)
        #expect(throws: Errno.diskQuotaExceeded) { try world.write(900 << 10, to: other) }
        try world.write(700 << 10, to: other)
        #expect(throws: Errno.noSpace) { try world.write(4 << 20, to: world.file("h", in: .root)) }
        try world.write(3150 << 10, to: world.file("i", in: .root))
        #expect(throws: Errno.noSpace) { try world.write(50 << 10, to: other, at: 700 << 10) }
        world.tree.checkInvariants()
        let (outer, nested) = try (world.state(job), world.state(inner))
        #expect(outer.usedNodes == 4 && nested.usedNodes == 2)
        #expect(nested.usedBytes > 200 << 10 && nested.usedBytes < 210 << 10)
        #expect(outer.usedBytes > nested.usedBytes + (700 << 10))
    }

    @Test("nodes are counted at each level, and the one that refuses names the errno")
    func nodes() throws {
        let world = try QuotaWorld(bytes: 4 << 20, nodes: 6)
        let job = try world.directory("job")
        try world.set(job, nodes: 3)
        _ = try world.file("a", in: job)
        _ = try world.directory("b", in: job)
        #expect(throws: Errno.diskQuotaExceeded) { _ = try world.file("c", in: job) }
        _ = try world.file("c", in: .root)
        _ = try world.file("d", in: .root)
        try world.set(job, nodes: 9)
        #expect(throws: Errno.tooManyOpenFiles) { _ = try world.file("c", in: job) }
        try world.remove("a", in: job)
        _ = try world.file("c", in: job)
        world.tree.checkInvariants()
    }

    @Test(
        "a range that no limit holds is refused by the level that has one",
        .enabled(if: PrivateTmpfs.canBeHad, "no tmpfs can be made here"))
    func endlessRange() throws {
        let world = try QuotaWorld(bytes: 4 << 20, isBacked: true)
        let job = try world.directory("job")
        try world.set(job, nodes: 10)
        let file = try world.file("f", in: job)
        let used = world.tree.usage.usedBytes
        let allocate = { () throws(Errno) in
            try world.tree.allocate(file, mode: .keepSize, offset: 0, count: .max)
        }
        #expect(throws: Errno.noSpace) { try allocate() }
        try world.set(job, bytes: 1 << 20)
        #expect(throws: Errno.diskQuotaExceeded) { try allocate() }
        #expect(world.tree.usage.usedBytes == used)
        world.tree.checkInvariants()
    }

    /// Rule: quotas.set, quotas.removal
    @Test("what is there is counted when the quota is set, and given back to what is above when it goes")
    func content() throws {
        let world = try QuotaWorld(bytes: 16 << 20)
        let before = world.tree.usage
        let job = try world.directory("job")
        var folder = job
        for depth in 0..<20 {
            for index in 0..<40 { try world.write(700, to: world.file("f\(index)", in: folder)) }
            folder = try world.directory("d\(depth)", in: folder)
        }
        let used = world.tree.usage
        try world.set(job, bytes: 8 << 20, nodes: 10_000)
        let state = try world.state(job)
        #expect(state.usedNodes == 821)
        // The name of the directory is the root's; the quota pays for itself at the root.
        let rest = world.tree.usage.usedBytes - QuotaLevel.cost - state.usedBytes
        #expect(rest > before.usedBytes && rest < before.usedBytes + 100)
        #expect(world.tree.usage.usedBytes == used.usedBytes + QuotaLevel.cost)
        world.tree.checkInvariants()
        let nested = try world.path("job/d0/d1")
        try world.set(nested, bytes: 4 << 20)
        #expect(try world.state(nested).usedNodes == 1 + 18 * 41)
        try world.set(try world.path("job/d0"), bytes: 5 << 20)
        world.tree.checkInvariants()
        try world.tree.removeQuota(of: job)
        world.tree.checkInvariants()
        #expect(throws: QuotaRefusal.none) { try world.tree.removeQuota(of: job) }
        try world.tree.removeQuota(of: try world.path("job/d0"))
        try world.tree.removeQuota(of: nested)
        world.tree.checkInvariants()
        #expect(world.tree.usage.usedBytes == used.usedBytes && world.tree.quotas().isEmpty)
    }

    @Test("a limit below its use is refused with the figures, and nothing has changed, or drains")
    func belowUse() throws {
        let world = try QuotaWorld(bytes: 16 << 20)
        let job = try world.directory("job")
        let file = try world.file("f", in: job)
        try world.write(1 << 20, to: file)
        let used = world.tree.usage.usedBytes
        do {
            try world.set(job, bytes: 1 << 20)
            Issue.record("it was set")
        } catch let QuotaRefusal.bytesBelowUse(figure) {
            #expect(figure > 1 << 20 && figure < 1100 << 10)
        }
        #expect(throws: QuotaRefusal.nodesBelowUse(usedNodes: 2)) { try world.set(job, nodes: 1) }
        #expect(world.tree.usage.usedBytes == used && world.tree.quota(of: job) == nil)
        world.tree.checkInvariants()
        try world.set(job, bytes: 1 << 20, drains: true)
        #expect(throws: Errno.diskQuotaExceeded) { _ = try world.file("g", in: job) }
        try world.write(1 << 20, to: file)
        try world.remove("f", in: job)
        _ = try world.file("g", in: job)
        world.tree.checkInvariants()
    }

    /// Rule: quotas.aside
    @Test("what is set aside is sure, is returned, and is never asked of what is above again")
    func aside() throws {
        let world = try QuotaWorld(bytes: 8 << 20)
        let job = try world.directory("job")
        try world.write(1 << 20, to: world.file("old", in: job))
        let start = world.tree.usage.usedBytes
        try world.set(job, bytes: 4 << 20, setsAside: true)
        let filler = try world.file("filler", in: .root)
        var size = 0
        while (try? world.write(64 << 10, to: filler, at: size)) != nil { size += 64 << 10 }
        #expect(size > 3 << 20 && size < 4 << 20)
        try world.write(2 << 20, to: world.file("new", in: job))
        #expect(throws: Errno.diskQuotaExceeded) { try world.write(1 << 20, to: world.file("more", in: job)) }
        world.tree.checkInvariants()
        #expect(throws: QuotaRefusal.self) { try world.set(job, bytes: 5 << 20) }
        try world.set(job, bytes: 3200 << 10)
        try world.write(700 << 10, to: filler, at: size)
        try world.tree.removeQuota(of: job)
        world.tree.checkInvariants()
        for name in ["new", "more"] { try world.remove(name, in: job) }
        try world.remove("filler", in: .root)
        let end = world.tree.usage.usedBytes
        #expect(end < start + 200)
        #expect(throws: QuotaRefusal.self) { try world.set(job, bytes: 9 << 20, setsAside: true) }
        #expect(throws: QuotaRefusal.self) { try world.set(job, bytes: 1 << 20, setsAside: true) }
        #expect(world.tree.usage.usedBytes == end)
        world.tree.checkInvariants()
    }

    /// Rule: quotas.orphans
    @Test("rmdir drops the quota and returns what was set aside, but for open files")
    func removal() throws {
        let world = try QuotaWorld(bytes: 8 << 20)
        let start = world.tree.usage.usedBytes
        let job = try world.directory("job")
        try world.set(job, bytes: 4 << 20, setsAside: true)
        let file = try world.file("f", in: job)
        try world.write(1 << 20, to: file)
        try world.remove("f", in: job, keeping: true)
        try world.removeDirectory("job", in: .root)
        let used = world.tree.usage.usedBytes
        #expect(used > 1 << 20 && used < 1100 << 10 && world.tree.quotas().isEmpty)
        #expect(throws: Errno.diskQuotaExceeded) { try world.write(1 << 20, to: file, at: 1 << 20) }
        world.tree.checkInvariants()
        world.tree.forget(file, count: 1)
        #expect(world.tree.usage.usedBytes == start)
        world.tree.checkInvariants()
    }
}
