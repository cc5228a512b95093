import Accounting
import Basics
import Support
import Synchronization
import Testing
import Tree

@Suite("Quotas that come and go under threads that work")
struct QuotaRaceTests {
    /// Directories that lie in one another, and threads that make, fill, move, link and remove files and
    /// directories in them.
    private final class Site: Sendable {
        let world: QuotaWorld
        let folders: [NodeID]
        let isOver = Atomic<Bool>(false)
        let surprises = Atomic<Int>(0)

        init(bytes: Int) throws {
            world = try QuotaWorld(bytes: bytes)
            var folders: [NodeID] = [.root]
            for (index, parent) in [0, 1, 2, 1, 0, 5, 5].enumerated() {
                folders.append(try world.directory("folder\(index)", in: folders[parent]))
            }
            self.folders = folders
        }

        private func attempt(_ body: () throws -> Void) {
            do {
                try body()
            } catch let error as Errno {
                let known: [Errno] = [
                    .noSuchFileOrDirectory, .fileExists, .improperLink, .diskQuotaExceeded, .noSpace,
                    .isDirectory, .notDirectory, .directoryNotEmpty, .invalidArgument, .staleNFSFileHandle,
                ]
                if !known.contains(error) { surprises.wrappingAdd(1, ordering: .relaxed) }
            } catch {
                surprises.wrappingAdd(1, ordering: .relaxed)
            }
        }

        /// Each thread has names of its own, so that it knows which lookups it holds: none.
        func work(_ thread: Int) {
            var random = Generator(seed: UInt64(thread) + 77)
            while !isOver.load(ordering: .relaxed) {
                let (home, target) = (random.pick(folders), random.pick(folders))
                let (name, other) = ("\(thread)-\(random.below(12))", "\(thread)-\(random.below(12))")
                switch random.below(20) {
                case ..<6:
                    attempt {
                        let file = try world.file(name, in: home)
                        defer { world.tree.forget(file, count: 1) }
                        try world.write(1 + random.below(3000), to: file)
                    }
                case ..<8:
                    attempt { _ = try world.directory("d\(name)", in: home) }
                case ..<12:
                    attempt { try world.rename(name, in: home, to: other, in: target) }
                case ..<14:
                    attempt { try world.rename("d\(name)", in: home, to: "d\(other)", in: target) }
                case ..<15:
                    attempt { try world.rename(name, in: home, to: other, in: target, .exchange) }
                case ..<17:
                    attempt { try link(name, in: home, as: other, in: target) }
                case ..<18:
                    attempt { try world.removeDirectory("d\(name)", in: home) }
                default:
                    attempt { try remove(name, in: home) }
                }
            }
        }

        private func link(_ name: String, in home: NodeID, as other: String, in target: NodeID) throws {
            let node = try Array(name.utf8).withRawSpan { (name) throws(Errno) in
                try world.tree.lookup(name, in: home).node
            }
            defer { world.tree.forget(node, count: 1) }
            try world.link(node, as: other, in: target)
        }

        private func remove(_ name: String, in home: NodeID) throws {
            try Array(name.utf8).withRawSpan { (name) throws(Errno) in
                try world.tree.unlink(name, in: home)
            }
        }
    }

    private final class Setting: Sendable {
        let isOver = Atomic<Bool>(false)
    }

    @Test("no link comes in from outside while a quota looks for such links")
    func linkMeanwhile() throws {
        let world = try QuotaWorld(bytes: 64 << 20)
        let inside = try world.directory("inside")
        // One that has to be looked for, and much to look through.
        try world.link(try world.file("one", in: inside), as: "two", in: inside)
        let outside = try world.file("first", in: .root)
        let many = try world.directory("many")
        for number in 0..<20_000 { world.tree.forget(try world.file("\(number)", in: many), count: 1) }
        for _ in 0..<20 {
            let setting = Setting()
            let thread = Threads.detach {
                _ = try? world.set(inside, bytes: 32 << 20)
                setting.isOver.store(true, ordering: .relaxed)
            }
            while world.tree.quota(of: inside) == nil, !setting.isOver.load(ordering: .relaxed) {}
            var isLinked = false
            do {
                try world.link(outside, as: "second", in: inside)
                isLinked = true
            } catch Errno.improperLink {
                // As it should be, but where the directory had not been read yet.
            }
            thread.join()
            world.tree.checkInvariants()
            #expect((world.tree.quota(of: inside) != nil) == !isLinked)
            if isLinked { try world.remove("second", in: inside, keeping: true) }
            if !isLinked { try world.tree.removeQuota(of: inside) }
        }
    }

    @Test("each level counts what is below it in the end", arguments: [4 << 20, 200 << 10])
    func race(bytes: Int) throws {
        let site = try Site(bytes: bytes)
        let threads = (0..<4).map { thread in Threads.detach { site.work(thread) } }
        var random = Generator(seed: Generator.seed(usual: 5))
        var counts = (set: 0, refused: 0, removed: 0)
        // A mount that the threads keep full may refuse many in a row.
        for attempt in 0..<100_000 where attempt < 400 || counts.removed == 0 {
            let folder = site.folders[1 + random.below(site.folders.count - 1)]
            do {
                if random.chance(60) || site.world.tree.quotas().isEmpty {
                    try site.world.set(
                        folder, bytes: 20_000 + random.below(bytes), setsAside: random.chance(20))
                    counts.set += 1
                } else {
                    try site.world.tree.removeQuota(of: folder)
                    counts.removed += 1
                }
            } catch is QuotaRefusal {
                counts.refused += 1
            }
        }
        site.isOver.store(true, ordering: .relaxed)
        for thread in threads { thread.join() }
        #expect(site.surprises.load(ordering: .relaxed) == 0)
        // How many are refused for a link from outside is a matter of luck.
        #expect(counts.set > 0 && counts.removed > 0 && counts.refused > 0, "\(counts)")
        site.world.tree.checkInvariants()
        for quota in site.world.tree.quotas() {
            try site.world.tree.removeQuota(of: try site.world.tree.directory(at: quota.path))
        }
        site.world.tree.checkInvariants()
    }
}
