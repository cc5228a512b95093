import Accounting
import Basics
import Storage
import Support
import Testing
import Tree

@Suite("Every step of every operation may fail, and then nothing has changed")
struct FaultTests {
    /// One operation on a fresh world.
    struct Operation: Sendable, CustomStringConvertible {
        var name: String
        var place = FaultWorld.Place.memory(.auto)
        /// Whether it needs anything that can be refused; nil: that is not what it is here for.
        var needsRoom: Bool? = true
        var run: @Sendable (FaultWorld) throws(Errno) -> Void

        var description: String { "\(name), \(place)" }
    }

    /// A name, lent as the operations take it.
    private static func named<Result>(
        _ name: String, _ body: (RawSpan) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        try Array(name.utf8).withRawSpan(body)
    }

    private static let making: [Operation] = [
        Operation(name: "create in an empty directory") { (world) throws(Errno) in
            _ = try named("name") { (name) throws(Errno) in
                try world.tree.create(
                    name, in: world.node("empty"), mode: 0o644, exclusive: true, by: world.caller)
            }
        },
        Operation(name: "create where a leaf grows") { (world) throws(Errno) in
            _ = try named(String(repeating: "n", count: 250)) { (name) throws(Errno) in
                try world.tree.create(
                    name, in: world.node("growing"), mode: 0o644, exclusive: false, by: world.caller)
            }
        },
        Operation(name: "mkdir where a leaf splits") { (world) throws(Errno) in
            _ = try named("a name that is new") { (name) throws(Errno) in
                try world.tree.makeDirectory(
                    name, in: world.node("crowded"), mode: 0o755, by: world.caller)
            }
        },
        Operation(name: "mkdir that inherits two ACLs") { (world) throws(Errno) in
            _ = try named("heir") { (name) throws(Errno) in
                try world.tree.makeDirectory(
                    name, in: world.node("growing"), mode: 0o775, by: world.caller)
            }
        },
        Operation(name: "symlink with a long target") { (world) throws(Errno) in
            _ = try named(String(repeating: "t", count: 4000)) { (target) throws(Errno) in
                try named("a link") { (name) throws(Errno) in
                    try world.tree.makeSymlink(name, in: .root, to: target, by: world.caller)
                }
            }
        },
        Operation(name: "mknod") { (world) throws(Errno) in
            _ = try named("device") { (name) throws(Errno) in
                try world.tree.makeNode(
                    name, in: world.node("crowded"), mode: FileKind.blockDevice.rawValue | 0o600, device: 7,
                    by: world.caller)
            }
        },
        Operation(name: "O_TMPFILE") { (world) throws(Errno) in
            _ = try world.tree.makeTemporary(in: .root, mode: 0o600, by: world.caller)
        },
        Operation(name: "link where a leaf splits") { (world) throws(Errno) in
            _ = try named("one more name") { (name) throws(Errno) in
                try world.tree.link(world.node("small"), as: name, in: world.node("crowded"))
            }
        },
    ]

    private static func renaming(
        _ name: String, _ source: String, to target: String, in folder: String, _ flags: RenameFlags = [],
        needsRoom: Bool = true
    ) -> Operation {
        Operation(name: name, needsRoom: needsRoom) { (world) throws(Errno) in
            try named(source) { (source) throws(Errno) in
                try named(target) { (target) throws(Errno) in
                    try world.tree.rename(
                        source, in: .root, to: target, in: world.node(folder), flags: flags,
                        by: world.caller)
                }
            }
        }
    }

    private static let renames: [Operation] = [
        renaming("rename to a new name where a leaf splits", "large", to: "moved away", in: "crowded"),
        renaming("rename of a directory", "growing", to: "deeper", in: "empty"),
        renaming("rename with a whiteout", "small", to: "another name", in: "crowded", .whiteout),
        renaming("rename onto a name with a whiteout", "small", to: "large", in: "root", .whiteout),
        renaming("rename onto a name", "small", to: "large", in: "root", needsRoom: false),
        renaming("exchange", "small", to: "large", in: "root", .exchange, needsRoom: false),
        renaming("rename into a quota", "large", to: "moved in", in: "bounded"),
        renaming("rename into a quota, onto a name", "large", to: "inside", in: "bounded"),
        renaming("rename into a quota with a whiteout", "small", to: "moved in", in: "bounded", .whiteout),
    ]

    private static let quotas: [Operation] = [
        Operation(name: "create by a user with a limit") { (world) throws(Errno) in
            _ = try named("another") { (name) throws(Errno) in
                try world.tree.create(
                    name, in: world.node("bounded"), mode: 0o644, exclusive: true, by: FaultWorld.limited)
            }
        },
        Operation(name: "chown to a user with a limit") { (world) throws(Errno) in
            var changes = AttributeChanges()
            changes.owner = FaultWorld.limited.user
            _ = try world.tree.setAttributes(changes, of: world.node("small"))
        },
        Operation(name: "set a user's limit") { (world) throws(Errno) in
            var request = QuotaRequest()
            request.nodes = .to(1000)
            do throws(QuotaRefusal) {
                _ = try world.tree.setQuota(ofUser: world.caller.user, to: request)
            } catch {
                throw .diskQuotaExceeded
            }
        },
        Operation(name: "link of a file without a name into a quota") { (world) throws(Errno) in
            _ = try named("named") { (name) throws(Errno) in
                try world.tree.link(world.node("nameless"), as: name, in: world.node("bounded"))
            }
        },
        Operation(name: "create in a quota") { (world) throws(Errno) in
            _ = try named("another") { (name) throws(Errno) in
                try world.tree.create(
                    name, in: world.node("bounded"), mode: 0o644, exclusive: true, by: world.caller)
            }
        },
        Operation(name: "set a quota") { (world) throws(Errno) in
            var request = QuotaRequest()
            request.nodes = .to(100)
            do throws(QuotaRefusal) {
                _ = try world.tree.setQuota(of: world.node("growing"), to: request)
            } catch {
                throw .diskQuotaExceeded
            }
        },
    ]

    private static func changing(
        _ name: String, needsRoom: Bool = true, _ run: @escaping @Sendable (FaultWorld) throws(Errno) -> Void
    ) -> [Operation] {
        [FaultWorld.Place.memory(.auto), .memory(.randomAccess)].map {
            Operation(name: name, place: $0, needsRoom: needsRoom, run: run)
        }
    }

    /// The same on a private tmpfs, where a page that is there holds more than it has.
    private static let backed =
        PrivateTmpfs.canBeHad
        ? (making + renames + quotas + changes).filter { $0.place == .memory(.auto) }.map {
            Operation(name: $0.name, place: .tmpfs, needsRoom: nil, run: $0.run)
        } : []

    private static let changes: [Operation] = [
        changing("write of a few bytes") { (world) throws(Errno) in
            try world.write(10, to: world.node("new"), at: 0)
        },
        changing("write of much") { (world) throws(Errno) in
            try world.write(900_000, to: world.node("new"), at: 0)
        },
        changing("append to a small file") { (world) throws(Errno) in
            try world.write(700, to: world.node("small"), at: 300)
        },
        changing("append past the fragment") { (world) throws(Errno) in
            try world.write(9000, to: world.node("small"), at: 300)
        },
        changing("append to a large file") { (world) throws(Errno) in
            try world.write(100_000, to: world.node("large"), at: 300_000)
        },
        changing("sparse write that promotes") { (world) throws(Errno) in
            try world.write(5000, to: world.node("small"), at: 3 << 20)
        },
        changing("sparse write that raises the index") { (world) throws(Errno) in
            try world.write(5000, to: world.node("large"), at: 9 << 20)
        },
        changing("fallocate") { (world) throws(Errno) in
            try world.tree.allocate(world.node("small"), mode: [], offset: 100, count: 400_000)
        },
        changing("zero range past the end") { (world) throws(Errno) in
            try world.tree.allocate(world.node("large"), mode: .zeroRange, offset: 5000, count: 500_000)
        },
        changing("copy range") { (world) throws(Errno) in
            _ = try world.tree.copyRange(
                from: world.node("large"), at: 0, to: world.node("new"), at: 50_000, count: 120_000)
        },
        changing("setxattr, small") { (world) throws(Errno) in
            try world.setXattr("user.new", 20, of: world.node("small"))
        },
        changing("setxattr, large, of one that is there") { (world) throws(Errno) in
            try world.setXattr("user.old", 60_000, of: world.node("small"))
        },
        changing("setxattr of an ACL, with which the mode changes") { (world) throws(Errno) in
            try world.setACL(AccessList.access, .letting(1, 6), of: world.node("small"))
        },
        changing("chmod of what has an ACL", needsRoom: false) { (world) throws(Errno) in
            var changes = AttributeChanges()
            changes.mode = 0o640
            _ = try world.tree.setAttributes(changes, of: world.node("large"))
        },
        changing("overwrite in place", needsRoom: false) { (world) throws(Errno) in
            try world.write(200_000, to: world.node("large"), at: 50_000)
        },
        changing("truncate up", needsRoom: false) { (world) throws(Errno) in
            try world.resize(world.node("small"), to: 2 << 20)
        },
        changing("truncate down", needsRoom: false) { (world) throws(Errno) in
            try world.resize(world.node("small"), to: 10)
        },
        changing("punch a hole", needsRoom: false) { (world) throws(Errno) in
            try world.tree.allocate(
                world.node("large"), mode: [.punchHole, .keepSize], offset: 5000, count: 100_000)
        },
    ].flatMap { $0 }

    /// Rule: limits.failed
    @Test(
        "a refusal at any step leaves attributes, contents, names and usage",
        arguments: making + renames + quotas + changes + backed)
    func refusal(of operation: Operation) throws {
        var strikes = 0
        for step in FaultPlan.Step.allCases {
            for count in 1...200 {
                let world = try FaultWorld(operation.place)
                let before = (try world.picture(), world.counts)
                world.faults.arm(step, at: count)
                var refusal: Errno?
                do throws(Errno) { try operation.run(world) } catch { refusal = error }
                let hasStruck = world.faults.disarm()
                world.tree.checkInvariants()
                if refusal != nil {
                    let place = "\(operation), \(step) \(count)"
                    let isRefusal = refusal == .noSpace || refusal == .diskQuotaExceeded
                    #expect(hasStruck && isRefusal, "\(place): \(String(describing: refusal))")
                    let isSame = try world.picture() == before.0
                    #expect(isSame, "\(place): something has changed")
                    #expect(world.counts == before.1, "\(place): usage has changed")
                    strikes += 1
                }
                if !hasStruck { break }
                #expect(count < 200, "an operation does not end")
            }
        }
        guard let needsRoom = operation.needsRoom else { return }
        #expect((strikes > 0) == needsRoom, "\(operation) was refused \(strikes) times")
    }

    @Test("a plan strikes once, at the step that it was armed for")
    func plan() {
        let plan = FaultPlan()
        #expect(!plan.strikes(.block))
        plan.arm(.block, at: 2)
        #expect(!plan.strikes(.pages))
        #expect(!plan.strikes(.block))
        #expect(plan.strikes(.block))
        #expect(!plan.strikes(.block))
        #expect(plan.disarm())
        plan.arm(.slot, at: 5)
        #expect(!plan.disarm())
    }
}
