import Basics
import Fuse
import Glibc
import Support
import Testing

/// Names that no directory may hold never reach the filesystem.
struct LoopbackNameTests {
    let operations = RecordingOperations()
    let loopback: Loopback

    init() throws {
        loopback = try Loopback.initialized(serving: operations)
    }

    /// Every request that carries a name of a file.
    private func answers(for name: String) -> [Answer] {
        [
            loopback.lookup(name), loopback.mkdir(name), loopback.mknod(name, mode: 0o100600),
            loopback.symlink(name, to: "t"), loopback.create(name), loopback.link(2, as: name),
            loopback.unlink(name), loopback.rmdir(name), loopback.rename(name, to: "b"),
            loopback.rename("a", to: name),
        ]
    }

    @Test("255 bytes are a name, 256 are too many")
    func length() {
        let longest = String(repeating: "n", count: 255)
        #expect(answers(for: longest).allSatisfy { $0.error == 0 })
        let before = operations.calls.count
        #expect(answers(for: longest + "n").allSatisfy { $0.error == ENAMETOOLONG })
        #expect(operations.calls.count == before)
    }

    @Test("neither empty, nor dots, nor a path", arguments: ["", ".", "..", "a/b", "/a"])
    func shape(_ name: String) {
        // A lookup of dots is a question of its own.
        let answers = answers(for: name).dropFirst(name.hasPrefix(".") ? 1 : 0)
        #expect(answers.allSatisfy { $0.error == EINVAL })
        #expect(operations.calls.allSatisfy { !$0.hasPrefix("lookup") && !$0.hasPrefix("make") })
    }

    @Test("a lookup of a dot finds the node itself, of two the directory that it is in")
    func dots() {
        #expect(loopback.lookup(".", in: 9).entry.node == NodeID(index: 7, number: 10).rawValue)
        #expect(loopback.lookup("..", in: 8).error == 0)
        #expect(operations.calls == ["revisit 9", "parent 8"])
        operations.answer { $0.failure = .staleNFSFileHandle }
        #expect(loopback.lookup(".", in: 9).error == ESTALE)
    }

    @Test("dots inside a name, and bytes that are not UTF-8, are ordinary")
    func ordinary() {
        #expect(answers(for: "...").allSatisfy { $0.error == 0 })
        #expect(answers(for: ".a").allSatisfy { $0.error == 0 })
        #expect(loopback.ask(.lookup, [0xff, 0xfe, 0]).error == 0)
    }

    @Test("the target of a symlink has 1 to 4095 bytes")
    func symlinkTarget() {
        #expect(loopback.symlink("s", to: String(repeating: "t", count: 4095)).error == 0)
        #expect(loopback.symlink("s", to: String(repeating: "t", count: 4096)).error == ENAMETOOLONG)
        #expect(loopback.symlink("s", to: "").error == ENOENT)
    }

    @Test("an extended attribute's name has 1 to 255 bytes, whatever they are")
    func attributeName() {
        #expect(loopback.removexattr("user./", of: 2).error == 0)
        #expect(loopback.removexattr("", of: 2).error == ERANGE)
        #expect(loopback.removexattr(String(repeating: "n", count: 256), of: 2).error == ERANGE)
    }
}
