import Accounting
import Basics
import Storage
import Support
import Synchronization
import Testing
import Tree

@Suite("Limits of users")
struct UserQuotaTests {
    private static let (anna, ben): (UInt32, UInt32) = (1001, 1002)

    /// Rule: users.limits
    @Test("a user's limit counts what he owns wherever it lies, and refuses with EDQUOT whoever writes")
    func everywhere() throws {
        let world = try QuotaWorld(bytes: 16 << 20)
        let job = try world.directory("job")
        let sure = try world.directory("sure")
        try world.set(job, bytes: 4 << 20)
        try world.set(sure, bytes: 4 << 20, setsAside: true)
        try world.limit(Self.anna, bytes: 1 << 20, nodes: 4)
        for (name, folder) in [("a", job), ("b", sure), ("c", NodeID.root)] {
            try world.write(300 << 10, to: world.file(name, in: folder, by: Self.anna))
        }
        let file = try world.file("d", in: sure, by: Self.anna)
        #expect(throws: Errno.diskQuotaExceeded) { try world.write(150 << 10, to: file) }
        #expect(throws: Errno.diskQuotaExceeded) { _ = try world.directory("e", in: job, by: Self.anna) }
        try world.write(1 << 20, to: world.file("f", in: job, by: Self.ben))
        let state = try world.state(ofUser: Self.anna)
        #expect(state.usedNodes == 4 && state.usedBytes > 900 << 10 && state.usedBytes < 910 << 10)
        #expect(world.tree.usage.refusals.user == 2 && world.tree.usage.refusals.directory == 0)
        let inJob = try world.state(job)
        #expect(inJob.usedNodes == 3 && inJob.usedBytes > 1324 << 10)
        world.tree.checkInvariants()
        try world.remove("a", in: job)
        try world.write(150 << 10, to: file)
        world.tree.checkInvariants()
    }

    /// Rule: users.chown
    @Test("chown charges the new owner, or is refused and changes nothing")
    func chown() throws {
        let world = try QuotaWorld(bytes: 16 << 20)
        let job = try world.directory("job")
        try world.set(job, bytes: 8 << 20)
        try world.limit(Self.anna, bytes: 1 << 20)
        try world.limit(Self.ben, bytes: 2 << 20, nodes: 2)
        let file = try world.file("f", in: job)
        try world.write(700 << 10, to: file)
        try world.give(file, to: Self.anna)
        #expect(try world.state(ofUser: Self.anna).usedBytes > 700 << 10)
        let other = try world.file("g", in: .root, by: Self.ben)
        try world.write(600 << 10, to: other)
        let before = (world.tree.usage, try world.tree.attributes(of: other))
        #expect(throws: Errno.diskQuotaExceeded) { try world.give(other, to: Self.anna) }
        // The way back: room for the owner, and then the size is refused.
        try world.limit(Self.anna, bytes: 4 << 20)
        #expect(throws: Errno.invalidArgument) { try world.give(other, to: Self.anna, size: -1) }
        let after = (world.tree.usage, try world.tree.attributes(of: other))
        #expect(after.1 == before.1 && after.0.usedBytes == before.0.usedBytes)
        #expect(try world.state(ofUser: Self.anna).usedNodes == 1)
        world.tree.checkInvariants()
        try world.give(file, to: Self.ben)
        #expect(try world.state(ofUser: Self.anna).usedBytes == 0)
        #expect(try world.state(ofUser: Self.ben).usedNodes == 2)
        let third = try world.file("h", in: job)
        #expect(throws: Errno.diskQuotaExceeded) { try world.give(third, to: Self.ben) }
        try world.give(file, to: 0)
        try world.give(third, to: Self.ben)
        world.tree.checkInvariants()
    }

    /// Rule: users.set
    @Test("what a user owns is counted when the limit is set, and merges back when it goes")
    func content() throws {
        let world = try QuotaWorld(bytes: 16 << 20)
        let job = try world.directory("job")
        try world.set(job, bytes: 8 << 20)
        var folder = job
        for depth in 0..<12 {
            for index in 0..<40 {
                let user = index % 2 == 0 ? Self.anna : Self.ben
                try world.write(700, to: world.file("f\(index)", in: folder, by: user))
            }
            folder = try world.directory("d\(depth)", in: folder, by: Self.anna)
        }
        let open = try world.file("open", in: .root, by: Self.anna)
        try world.write(5000, to: open)
        try world.remove("open", in: .root, keeping: true)
        let used = world.tree.usage.usedBytes
        do {
            try world.limit(Self.anna, bytes: 100_000)
            Issue.record("it was set")
        } catch let QuotaRefusal.bytesBelowUse(figure) {
            #expect(figure > 240 * 700 + 5000 && figure < used)
        }
        #expect(throws: QuotaRefusal.nodesBelowUse(usedNodes: 253)) { try world.limit(Self.anna, nodes: 5) }
        #expect(world.tree.usage.usedBytes == used && world.tree.userQuotas().isEmpty)
        world.tree.checkInvariants()
        try world.limit(Self.anna, bytes: 100_000, drains: true)
        #expect(throws: Errno.diskQuotaExceeded) { _ = try world.file("new", in: .root, by: Self.anna) }
        try world.write(700, to: try lookup("job/f0", in: world))
        _ = try world.file("new", in: .root, by: Self.ben)
        let limited = world.tree.usage.usedBytes
        world.tree.checkInvariants()
        try world.tree.removeQuota(of: job)
        world.tree.checkInvariants()
        let state = try world.tree.removeQuota(ofUser: Self.anna)
        #expect(state.usedNodes == 253 && state.maxBytes == 100_000)
        #expect(world.tree.usage.usedBytes == limited - 2 * QuotaLevel.cost)
        #expect(throws: QuotaRefusal.none) { _ = try world.tree.removeQuota(ofUser: Self.anna) }
        world.tree.checkInvariants()
    }

    private func lookup(_ path: String, in world: QuotaWorld) throws -> NodeID {
        let names = path.split(separator: "/").map(String.init)
        let folder = try world.path(names.dropLast().joined(separator: "/"))
        return try Array((names.last ?? "").utf8).withRawSpan { (name) throws(Errno) in
            let node = try world.tree.lookup(name, in: folder).node
            world.tree.forget(node, count: 1)
            return node
        }
    }

    /// Rule: users.borders
    @Test("whose something is makes no border: rename and link go on within one directory's quota")
    func borders() throws {
        let world = try QuotaWorld(bytes: 16 << 20)
        let job = try world.directory("job", by: Self.anna)
        let inner = try world.directory("inner", in: job, by: Self.ben)
        try world.set(job, bytes: 8 << 20)
        for user in [Self.anna, Self.ben] { try world.limit(user, bytes: 1 << 20) }
        let file = try world.file("f", in: job, by: Self.anna)
        try world.link(file, as: "g", in: inner)
        try world.rename("f", in: job, to: "h", in: inner)
        try world.rename("inner", in: job, to: "moved", in: job)
        #expect(throws: Errno.improperLink) { try world.link(file, as: "f", in: .root) }
        #expect(throws: Errno.improperLink) { try world.rename("moved", in: job, to: "m", in: .root) }
        let own = try world.file("own", in: inner, by: Self.ben)
        try world.write(500 << 10, to: own)
        let used = try world.state(ofUser: Self.ben).usedBytes
        try world.rename("own", in: inner, to: "own", in: .root)
        // The name takes as much in either directory.
        #expect(try world.state(ofUser: Self.ben).usedBytes <= used)
        #expect(try world.state(job).usedBytes < 10_000)
        world.tree.checkInvariants()
    }

    @Test("to set nothing, and to set bytes aside for a user, is refused")
    func refusals() throws {
        let world = try QuotaWorld(bytes: 16 << 20)
        var request = QuotaRequest()
        #expect(throws: QuotaRefusal.nothingAsked) {
            _ = try world.tree.setQuota(ofUser: Self.anna, to: request)
        }
        request.bytes = .to(1 << 20)
        request.setsAside = true
        #expect(throws: QuotaRefusal.notSetAside) {
            _ = try world.tree.setQuota(ofUser: Self.anna, to: request)
        }
        #expect(world.tree.userQuotas().isEmpty)
    }

    @Test("statfs is the directory's, whoever owns it")
    func statistics() throws {
        let world = try QuotaWorld(bytes: 16 << 20)
        let job = try world.directory("job", by: Self.anna)
        try world.set(job, bytes: 8 << 20)
        let before = try world.tree.statistics(of: job)
        try world.limit(Self.anna, bytes: 1 << 20)
        let after = try world.tree.statistics(of: job)
        #expect(after.blocks == before.blocks && after.availableBlocks == before.availableBlocks)
    }

    private final class Site: Sendable {
        let world: QuotaWorld
        let folders: [NodeID]
        let isOver = Atomic<Bool>(false)
        let surprises = Atomic<Int>(0)

        init() throws {
            world = try QuotaWorld(bytes: 8 << 20)
            let job = try world.directory("job")
            folders = [.root, job, try world.directory("inner", in: job)]
        }

        /// Each thread has names of its own.
        func work(_ thread: Int) {
            var random = Generator(seed: UInt64(thread) + 33)
            while !isOver.load(ordering: .relaxed) {
                do {
                    try step(thread, &random)
                } catch let error as Errno {
                    let known: [Errno] = [
                        .diskQuotaExceeded, .noSpace, .fileExists, .noSuchFileOrDirectory, .improperLink,
                    ]
                    if !known.contains(error) { surprises.wrappingAdd(1, ordering: .relaxed) }
                } catch {
                    surprises.wrappingAdd(1, ordering: .relaxed)
                }
            }
        }

        private func step(_ thread: Int, _ random: inout Generator) throws {
            let name = "\(thread)-\(random.below(20))"
            let (home, target) = (random.pick(folders), random.pick(folders))
            let users = [UserQuotaTests.anna, UserQuotaTests.ben]
            switch random.below(10) {
            case ..<4:
                let file = try world.file(name, in: home, by: random.pick(users))
                defer { world.tree.forget(file, count: 1) }
                try world.write(1 + random.below(3000), to: file)
                try world.give(file, to: random.pick(users + [0]))
            case ..<6: try world.rename(name, in: home, to: name, in: target)
            default: try world.remove(name, in: home)
            }
        }
    }

    @Test("limits that come and go under threads that work count what each user owns in the end")
    func race() throws {
        let site = try Site()
        let threads = (0..<4).map { thread in Threads.detach { site.work(thread) } }
        var random = Generator(seed: Generator.seed(usual: 8))
        var counts = (set: 0, refused: 0, removed: 0)
        for _ in 0..<400 {
            do {
                let user = random.pick([Self.anna, Self.ben])
                switch random.below(10) {
                case ..<5: try site.world.limit(user, bytes: 10_000 + random.below(200_000))
                case ..<7: try site.world.set(random.pick(Array(site.folders[1...])), bytes: 1 << 20)
                case ..<8: try site.world.tree.removeQuota(of: random.pick(Array(site.folders[1...])))
                default:
                    _ = try site.world.tree.removeQuota(ofUser: user)
                    counts.removed += 1
                    continue
                }
                counts.set += 1
            } catch is QuotaRefusal {
                counts.refused += 1
            }
        }
        site.isOver.store(true, ordering: .relaxed)
        for thread in threads { thread.join() }
        #expect(site.surprises.load(ordering: .relaxed) == 0)
        #expect(counts.set > 0 && counts.removed > 0 && counts.refused > 0, "\(counts)")
        site.world.tree.checkInvariants()
    }
}
