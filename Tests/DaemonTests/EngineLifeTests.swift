import Basics
import Control
import Glibc
import Testing

/// What becomes of an engine's mount when its daemon is killed: as of any other, but that open files live on.
@Suite("the end of a mount in each engine", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct EngineLifeTests {
    /// Rule: engines.killed
    @Test(
        "after kill -9 what is open can still be used, and the next mount clears the dead one",
        arguments: ["strict", "passthrough"])
    func killed(engine: String) throws {
        let mounted = Mounted(["--size", "16M", "--io", engine])
        guard mounted.isReady else {
            #expect(mounted.err.contains("cannot be had"), "\(mounted.err)")
            return print("SKIPPED: engine \(engine): \(mounted.err)")
        }
        let status = Program.run(["status", "--json", mounted.mountpoint]).out
        #expect(status.contains("\"engine\" : \"\(engine)\""), "\(status)")
        #expect(status.contains("\"storage\" : \"backed\""), "\(status)")
        let flags = O_RDWR | O_CREAT | O_CLOEXEC
        let written = unsafe open("\(mounted.mountpoint)/f", flags, 0o644)
        #expect(unsafe write(written, "before", 6) == 6)
        let held = unsafe open("\(mounted.mountpoint)/f", O_RDONLY | O_CLOEXEC)
        kill(mounted.process, SIGKILL)
        #expect(mounted.code() == 128 + SIGKILL)
        // The kernel has the file behind, and needs nobody to read it.
        #expect(try Files.read(held, upTo: 10) == Array("before".utf8))
        let taken = unsafe write(written, "after", 5)
        if engine == "passthrough" {
            #expect(taken == 5)
            #expect(try Files.read(held, upTo: 10) == Array("after".utf8))
        } else {
            #expect(taken == -1 && errno == ENOTCONN)
        }
        var found = stat()
        #expect(unsafe fstat(held, &found) == -1 && errno == ENOTCONN)
        let again = Program.run(["mount", "--size", "16M", "--io", engine, mounted.mountpoint])
        #expect(again.code == 0 && again.errLines.count == 1 && again.err.contains("cleared the dead mount"))
        #expect(throws: Errno.noSuchFileOrDirectory) { try Files.status(of: "\(mounted.mountpoint)/f") }
        close(written)
        close(held)
        #expect(Program.run(["umount", mounted.mountpoint]).code == 0)
    }

    @Test(
        "a resize moves what the kernel may store by itself, both ways", arguments: ["strict", "passthrough"])
    func resized(engine: String) throws {
        let mounted = Mounted(["--size", "16M", "--io", engine])
        guard mounted.isReady else { return print("SKIPPED: engine \(engine): \(mounted.err)") }
        let file = "\(mounted.mountpoint)/f"
        func fill(_ bytes: Int) -> String {
            let words = ["sh", "-c", "head -c \(bytes) /dev/zero >'\(file)'; stat -c %s '\(file)'"]
            _ = Program.spawnAndWait("/bin/sh", words, into: "\(mounted.folder)/fill")
            let said = (try? Files.text(of: "\(mounted.folder)/fill.out")) ?? ""
            try? Files.remove("\(mounted.folder)/fill.out")
            return said
        }
        #expect(fill(20 << 20) != "\(20 << 20)\n")
        #expect(Program.run(["resize", mounted.mountpoint, "64M"]).code == 0)
        #expect(fill(20 << 20) == "\(20 << 20)\n")
        let refused = Program.run(["resize", mounted.mountpoint, "8M"])
        #expect(refused.code == 1 && refused.err.contains("are in use"), "\(refused)")
        #expect(Program.run(["resize", mounted.mountpoint, "8M", "--drain"]).code == 0)
        #expect(fill(4 << 20) == "\(4 << 20)\n")
        #expect(fill(20 << 20) != "\(20 << 20)\n")
        let entry = try #require(mounted.entry)
        let status = try Client.status(of: entry)
        #expect(status.usedBytes <= 8 << 20 && status.limitBytes == 8 << 20)
        #expect(Program.run(["umount", mounted.mountpoint]).code == 0)
    }
}
