import Basics
import Fuse
import Glibc
import Support
import Testing

/// Requests as the kernel would send them, and the bytes that would go back.
struct LoopbackTests {
    let operations = RecordingOperations()
    let loopback: Loopback

    init() throws {
        loopback = try Loopback.initialized(serving: operations)
    }

    @Test("INIT accepts what we want and nothing that would hurt")
    func negotiates() throws {
        let answer = try Loopback(serving: operations).initialize()
        let accepted = InitFlags(rawValue: answer.payload.get(UInt32.self, at: 12))
        #expect(answer.error == 0)
        #expect(
            accepted.isSuperset(of: [
                .asyncRead, .readdirplus, .readdirplusAuto, .parallelDirectories, .maxPages, .cacheSymlinks,
                .killPrivilegesV2, .exportSupport, .extended,
            ]))
        #expect(
            accepted.isDisjoint(with: [
                .atomicTruncate, .autoInvalidate, .writebackCache, .posixACL, .asyncDirectIO, .dontMask,
            ]))
        #expect(answer.payload.get(UInt32.self, at: 8) == 128 * 1024, "all the read-ahead that is offered")
        #expect(answer.payload.get(UInt32.self, at: 20) == 1 << 20, "the largest write")
        #expect(answer.payload.get(UInt16.self, at: 28) == 256, "the most pages")
        #expect(answer.payload.get(UInt32.self, at: 32) == 1 << 8, "binds with other IDs")
    }

    @Test("INIT accepts no feature that is not offered")
    func acceptsNothingUnoffered() throws {
        let answer = try Loopback(serving: operations).initialize(offering: [.asyncRead, .maxPages])
        let accepted = InitFlags(rawValue: answer.payload.get(UInt32.self, at: 12))
        #expect(accepted.isDisjoint(with: [.killPrivilegesV2, .readdirplus, .cacheSymlinks, .extended]))
        #expect(accepted.contains(.asyncRead))
        #expect(answer.payload.get(UInt32.self, at: 32) == 0)
    }

    @Test("with ACLs INIT accepts the three features that they need together")
    func negotiatesACL() throws {
        let answer = try Loopback(serving: operations, usesACL: true).initialize()
        let accepted = InitFlags(rawValue: answer.payload.get(UInt32.self, at: 12))
        #expect(accepted.isSuperset(of: [.posixACL, .dontMask, .extendedSetxattr]))
    }

    @Test(
        "with ACLs INIT accepts none of the three where one is missing",
        arguments: [InitFlags.posixACL, .dontMask, .extendedSetxattr])
    func negotiatesNoACL(missing: InitFlags) throws {
        let offered = InitFlags.all.subtracting(missing)
        let answer = try Loopback(serving: operations, usesACL: true).initialize(offering: offered)
        let accepted = InitFlags(rawValue: answer.payload.get(UInt32.self, at: 12))
        #expect(accepted.isDisjoint(with: [.posixACL, .dontMask, .extendedSetxattr]))
    }

    @Test("an entry is laid out with every field in its place, for the cache to keep")
    func entryLayout() {
        let answer = loopback.lookup("hello", in: 5)
        #expect(operations.lastCall == "lookup 5 hello")
        #expect(answer.error == 0)
        #expect(answer.payload.count == 128)
        let entry = answer.entry
        #expect(entry.node == NodeID(index: 7, number: 10).rawValue)
        #expect(entry.generation != 0 && entry.generation == loopback.mkdir("d").entry.generation)
        #expect(entry.entryTimeout == 86400)
        #expect(entry.attributeTimeout == 86400)
        expectCanned(entry.attributes)
    }

    private func expectCanned(_ found: WireAttributes) {
        let wanted = RecordingOperations.attributes
        #expect(found.number == wanted.number)
        #expect(found.size == 5_000_000_000)
        #expect(found.blocks == 17)
        #expect(found.seconds == [201, UInt64(bitPattern: -202), 203])
        #expect(found.nanoseconds == [301, 302, 303])
        #expect(found.mode == wanted.mode)
        #expect(found.links == 3)
        #expect(found.owner == 1001)
        #expect(found.group == 1002)
        #expect(found.device == 0x103)
        #expect(found.blockBytes == 4096)
    }

    @Test("a missing name is an answer that the kernel keeps, not an error")
    func missingName() {
        operations.answer { $0.failure = .noSuchFileOrDirectory }
        let answer = loopback.lookup("nothing")
        #expect(answer.error == 0)
        #expect(answer.entry.node == 0)
        #expect(answer.entry.entryTimeout == 86400)
    }

    @Test(
        "an error goes back as it was thrown",
        arguments: [Errno.noSpace, .notDirectory, .ioError, .staleNFSFileHandle])
    func errorsGoBack(_ error: Errno) {
        operations.answer { $0.failure = error }
        let answers = [
            loopback.lookup("a"), loopback.getattr(1), loopback.setattr(1, valid: 1), loopback.mkdir("a"),
            loopback.mknod("a", mode: 0o100600), loopback.symlink("a", to: "b"), loopback.readlink(2),
            loopback.create("a"), loopback.tmpfile(), loopback.link(2, as: "a"), loopback.unlink("a"),
            loopback.rmdir("a"), loopback.rename("a", to: "b"), loopback.read(2, at: 0, count: 1),
            loopback.write([1], to: 2, at: 0), loopback.fallocate(2, offset: 0, count: 1),
            loopback.lseek(2, from: 0, whence: 3),
            loopback.copyFileRange(from: 2, at: 0, to: 3, at: 0, count: 1), loopback.readdir(1),
            loopback.readdir(1, plus: true), loopback.statfs(), loopback.setxattr("user.a", of: 2, to: []),
            loopback.getxattr("user.a", of: 2, count: 9), loopback.listxattr(2, count: 9),
            loopback.removexattr("user.a", of: 2),
        ]
        for answer in answers {
            #expect(answer == Answer(error: error.rawValue, payload: []))
        }
    }

    @Test("what makes a node gets names, modes and the caller")
    func makingNodes() {
        #expect(loopback.mkdir("d", in: 3, mode: 0o40755).error == 0)
        #expect(operations.lastCall == "makeDirectory 3 d 755 1000:1000:4242")
        #expect(loopback.mknod("f", mode: 0o010644).error == 0)
        #expect(operations.lastCall == "makeNode 1 f 10644 0 1000:1000:4242")
        #expect(loopback.mknod("c", mode: 0o020600, device: 0x105).error == 0)
        #expect(operations.lastCall == "makeNode 1 c 20600 261 1000:1000:4242")
        #expect(loopback.mknod("d", mode: 0o040600).error == EINVAL)
        #expect(loopback.symlink("s", to: "../some/where").error == 0)
        #expect(operations.lastCall == "makeSymlink 1 s ../some/where 1000:1000:4242")
        #expect(loopback.link(9, as: "l", in: 4).error == 0)
        #expect(operations.lastCall == "link 9 4 l")
    }

    @Test("CREATE tells whether the file must be new, and opens it for the cache")
    func creating() {
        let answer = loopback.create("f", flags: UInt32(O_RDWR))
        #expect(operations.lastCall == "create 1 f 644 false 1000:1000:4242")
        #expect(answer.payload.count == 128 + 16)
        #expect(answer.openFlags == 2, "FOPEN_KEEP_CACHE")
        #expect(loopback.create("f", mode: 0o104755, flags: UInt32(O_WRONLY | O_EXCL)).error == 0)
        #expect(operations.lastCall == "create 1 f 4755 true 1000:1000:4242")
    }

    @Test("TMPFILE arrives, although libfuse may not know it")
    func temporaryFile() {
        let answer = loopback.tmpfile(in: 6)
        #expect(operations.lastCall == "makeTemporary 6 600 1000:1000:4242")
        #expect(answer.entry.node == NodeID(index: 7, number: 10).rawValue)
        #expect(answer.payload.count == 128 + 16)
    }

    @Test("what takes names away, and rename with its flags")
    func removingAndRenaming() {
        #expect(loopback.unlink("a", in: 2) == Answer(error: 0, payload: []))
        #expect(operations.lastCall == "unlink 2 a")
        #expect(loopback.rmdir("b", in: 2) == Answer(error: 0, payload: []))
        #expect(operations.lastCall == "removeDirectory 2 b")
        #expect(loopback.rename("a", in: 2, to: "b", in: 3, flags: 2) == Answer(error: 0, payload: []))
        #expect(operations.lastCall == "rename 2 a 3 b 2 1000:1000:4242")
    }

    @Test("OPEN and OPENDIR are declined for good, and what follows from that is not asked")
    func declinesOpen() {
        #expect(loopback.open(2).error == ENOSYS)
        #expect(loopback.opendir(1).error == ENOSYS)
        for opcode in [Opcode.flush, .fsync, .fsyncdir] {
            #expect(loopback.ask(opcode, node: 2, [UInt8](repeating: 0, count: 24)).error == ENOSYS)
        }
        #expect(loopback.ask(.release, node: 2, [UInt8](repeating: 0, count: 24)).error == 0)
        #expect(loopback.ask(.interrupt, node: 0, [UInt8](repeating: 0, count: 8)).error == ENOSYS)
        #expect(operations.calls.isEmpty)
    }

    @Test("OPEN and OPENDIR are answered where the kernel does not understand that")
    func opensForOldKernels() throws {
        let old = try Loopback(serving: operations)
        _ = old.initialize(offering: InitFlags.all.subtracting([.noOpen, .noOpendir]))
        #expect(old.open(2).openFlags == 2, "FOPEN_KEEP_CACHE")
        #expect(old.opendir(1).openFlags == 2 | 8, "FOPEN_KEEP_CACHE and FOPEN_CACHE_DIR")
    }

    @Test("with direct I/O each opened file bypasses the cache")
    func directIO() throws {
        operations.answer { $0.opening = Opening(bypassesCache: true) }
        let direct = try Loopback.initialized(serving: operations, answersOpen: true)
        #expect(direct.open(2).openFlags == 1, "FOPEN_DIRECT_IO")
        #expect(direct.create("f").openFlags == 1)
        #expect(direct.opendir(1).error == ENOSYS)
    }

    @Test("with backing files INIT asks for passthrough, and each answer names the file behind")
    func passthrough() throws {
        let loopback = try Loopback(serving: operations, passesThrough: true)
        let answer = loopback.initialize(extended: 1 << 5)
        #expect(answer.payload.get(UInt32.self, at: 12) & 1 << 30 != 0, "FUSE_INIT_EXT")
        #expect(answer.payload.get(UInt32.self, at: 32) == 1 << 5, "FUSE_PASSTHROUGH")
        #expect(answer.payload.get(UInt32.self, at: 36) == 1, "max_stack_depth")
        operations.answer { $0.opening = Opening(backing: 77) }
        for reply in [loopback.open(2), loopback.create("f")] {
            #expect(reply.openFlags == 1 << 7, "FOPEN_PASSTHROUGH, and nothing that goes ill with it")
            #expect(reply.payload.get(Int32.self, at: reply.payload.count - 4) == 77)
        }
        operations.answer { $0.opening = Opening(bypassesCache: true, backing: 77) }
        let opened = loopback.open(2, flags: UInt32(O_RDWR))
        #expect(opened.openFlags == 1 << 7 | 1)
        // The handle is handed back as it was given: 0 stands for nothing.
        #expect(
            loopback.ask(.release, node: 2, Array(opened.payload[..<8]) + [0, 0, 0, 0] + zeros(12)).error == 0
        )
        #expect(operations.lastCall == "release 2")
        operations.answer { $0.opening = Opening(bypassesCache: true) }
        #expect(loopback.open(2).payload[..<8] == [0, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test("a kernel that does not offer passthrough is not asked for it")
    func noPassthrough() throws {
        let loopback = try Loopback(serving: operations, passesThrough: true)
        let answer = loopback.initialize(extended: .max & ~(1 << 5))
        #expect(answer.payload.get(UInt32.self, at: 32) & 1 << 5 == 0, "FUSE_PASSTHROUGH")
        #expect(answer.payload.get(UInt32.self, at: 36) == 0, "max_stack_depth")
    }

    private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    @Test("FORGET and BATCH_FORGET have no answer and lose no count")
    func forgetting() {
        loopback.forget(9, count: 3)
        #expect(operations.lastCall == "forget 9 3")
        var body: [UInt8] = []
        body.put(UInt32(2))
        body.put(UInt32(0))
        for number: UInt64 in [4, 1, 5, 2] { body.put(number) }
        #expect(loopback.send(Opcode.batchForget.rawValue, node: 0, body) == nil)
        #expect(operations.calls.suffix(2) == ["forget 4 1", "forget 5 2"])
    }
}
