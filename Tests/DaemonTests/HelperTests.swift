import Basics
import Control
import Daemon
import Glibc
import Testing

@Suite("as the helper of mount(8)")
struct HelperTests {
    /// Calls the program by the helper's name.
    private func helper(_ arguments: [String], in folder: String) -> Program.Outcome {
        let link = "\(folder)/mount.dmemfs"
        _ = unsafe symlink(Program.path, link)
        let code = Program.spawnAndWait(link, [link] + arguments, into: "\(folder)/helper")
        let outcome = Program.Outcome(
            code: code, out: (try? Files.text(of: "\(folder)/helper.out")) ?? "",
            err: (try? Files.text(of: "\(folder)/helper.err")) ?? "")
        for stream in ["out", "err"] { try? Files.remove("\(folder)/helper.\(stream)") }
        return outcome
    }

    @Test("its exit codes are those of mount(8), and nothing is mounted by -f")
    func codes() {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let cases: [([String], Int32, String)] = [
            ([], 1, "SOURCE DIRECTORY"), (["only"], 1, "SOURCE DIRECTORY"),
            (["a", "b", "c"], 1, "SOURCE DIRECTORY"),
            (["src", folder, "-o"], 1, "needs a value"), (["src", folder, "-Z"], 1, "unknown option"),
            (["src", folder, "-o", "sise=1M"], 1, "did you mean 'size'"),
            (["src", folder, "-o", "nr_block=1"], 1, "did you mean 'nr_blocks'"),
            (["src", folder, "-o", "size=0"], 1, "zero"),
            (["src", folder, "-o", "uid=nobody-at-all"], 1, "-o uid"),
            (["src", folder, "-o", "remount,size=1M"], 32, "no dmemfs is mounted"),
            (["src", "\(folder)/none", "-f", "-o", "size=1M"], 0, ""),
            (["src", "\(folder)/none", "-sf", "-o", "sise=1M,size=1M"], 0, ""),
        ]
        for (arguments, code, says) in cases {
            let outcome = helper(arguments, in: folder)
            #expect(outcome.code == code && outcome.out == "", "\(arguments) \(outcome)")
            #expect(outcome.errLines.count == (says.isEmpty ? 0 : 1), "\(outcome)")
            #expect(outcome.err.contains(says) || says.isEmpty, "\(arguments) \(outcome)")
        }
        #expect((try? MountTable.current().top(at: folder)) == nil)
    }

    @Test(
        "it mounts in silence, with -v it speaks, and what is wrong with the place is 32",
        .enabled(if: Program.canMount, "\(Program.mountSkip)"))
    func mounts() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let place = "\(folder)/m"
        #expect(helper(["src", place, "-o", "rw"], in: folder).code == 32)
        try Files.makeFolder(place, mode: 0o755)
        let quiet = helper(["a b,c\\d", place, "-n", "-o", "rw,size=8M,nofail"], in: folder)
        #expect(quiet.code == 0 && quiet.out == "" && quiet.err == "", "\(quiet)")
        let entry = try #require(try MountTable.current().top(at: place))
        #expect(entry.source == "a b,c\\d" && entry.isOurs)
        #expect(helper(["src", place, "-o", "rw"], in: folder).code == 32)
        #expect(Program.run(["umount", place]).code == 0)
        let loud = helper(["src", place, "-v", "-r", "-o", "size=8M,nosymfollow"], in: folder)
        #expect(loud.code == 0 && loud.out.contains("limit 8 MiB"), "\(loud)")
        let options = try #require(try MountTable.current().top(at: place)).options
        #expect(options.hasPrefix("ro,nosuid,nodev") && options.contains("nosymfollow"), "\(options)")
        #expect(Program.run(["umount", place]).code == 0)
    }

    @Test(
        "fstab, mount -a, findmnt, df, remount, users and mount.fuse3",
        .enabled(if: Program.canMount, "\(Program.mountSkip)"))
    func fstab() throws {
        try Script.run(Script.apart("fstab.sh"))
    }
}

@Suite("what check says")
struct CheckTests {
    @Test(
        "each cause that can be made here is named with its remedy",
        .enabled(if: Program.canMount, "\(Program.mountSkip)"))
    func causes() throws {
        print(try Script.run(Script.apart("check.sh")), terminator: "")
    }
}
