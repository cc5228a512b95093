import Basics
import Control
import Glibc
import Testing

/// What goes wrong before there is a mount: one line, the right code, and nothing left behind.
@Suite("start-up errors")
struct StartErrorTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let arguments: [String]
        let code: Int32
        let says: String
        var testDescription: String { arguments.joined(separator: " ") }
    }

    private static let nobody: UInt32 = 65534

    private static let usage: [Case] = [
        Case(arguments: ["--size", "0"], code: 64, says: "zero"),
        Case(arguments: ["--size=-5M"], code: 64, says: "negative"),
        Case(arguments: ["--size", "many"], code: 64, says: "not a size"),
        Case(arguments: ["--size", "99999999999T"], code: 64, says: "larger"),
        Case(arguments: ["--size", "0%"], code: 64, says: "zero"),
        Case(arguments: ["--size", "101%"], code: 64, says: "100%"),
        Case(arguments: ["--max-nodes", "0"], code: 64, says: "--max-nodes"),
        Case(arguments: ["--storage", "disk"], code: 64, says: "random_access"),
        Case(arguments: ["--node-limit-errno", "EIO"], code: 64, says: "EDQUOT"),
        Case(arguments: ["--chunk-overhead=-1"], code: 64, says: "--chunk-overhead"),
        Case(arguments: ["--promotion-limit", "x"], code: 64, says: "--promotion-limit"),
        Case(arguments: ["--stop-timeout", "soon"], code: 64, says: "--stop-timeout"),
        Case(arguments: ["--thresholds", "80,5"], code: 64, says: "--thresholds: '5' is no threshold"),
        Case(arguments: ["--thresholds", "101"], code: 64, says: "--thresholds: '101' is no threshold"),
        Case(arguments: ["-o", "thresholds=all"], code: 64, says: "-o thresholds: 'all' is no threshold"),
        Case(arguments: ["--thresholds", ""], code: 64, says: "--thresholds: '' is no list"),
        Case(
            arguments: ["--threshold-hook", "true"], code: 64, says: "'true' is no program"),
        Case(arguments: ["--threshold-hook", "/etc/passwd"], code: 64, says: "is no program"),
        Case(arguments: ["--io", "fast"], code: 64, says: "no engine"),
        Case(
            arguments: ["--io", "strict", "--storage", "auto"], code: 64,
            says: "--storage belongs to engine 'memory'"),
        Case(
            arguments: ["--io", "passthrough", "-o", "chunk_overhead=1"], code: 64,
            says: "-o chunk_overhead belongs to engine 'memory'"),
        Case(arguments: ["--io", "passthrough", "--huge", "x"], code: 64, says: "within_size"),
        Case(arguments: ["-o", "sise=1M"], code: 64, says: "did you mean 'size'"),
        Case(arguments: ["-o", "size=1M", "--size", "2M"], code: 64, says: "contradict"),
        Case(arguments: ["--sise", "1M"], code: 64, says: "--sise"),
    ]

    @Test("bad usage", arguments: usage, ["-f", "--mkdir"])
    func badUsage(wrong: Case, mode: String) {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let outcome = Program.run(["mount", mode] + wrong.arguments + ["\(folder)/made"])
        expect(outcome, wrong.code, wrong.says, in: folder)
        #expect(throws: Errno.noSuchFileOrDirectory) { try Files.status(of: "\(folder)/made") }
    }

    @Test("no mountpoint, too many of them, no such verb")
    func badCommandLine() {
        #expect(Program.run(["mount"]).code == 64)
        #expect(Program.run(["mount", "/a", "/b"]).code == 64)
        #expect(Program.run(["mount", ""]).code == 64)
        #expect(Program.run(["mount", "/a", "--size"]).code == 64)
        let outcome = Program.run(["explode"])
        #expect(outcome.code == 64 && outcome.errLines.count == 1)
    }

    @Test(
        "a mountpoint that cannot be one", .enabled(if: Program.canMount, "\(Program.mountSkip)"),
        arguments: [["-f"], []])
    func badMountpoint(mode: [String]) {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let make = "mkdir full && touch full/x file && ln -s loop loop && mkdir empty"
        _ = Program.spawnAndWait("/bin/sh", ["sh", "-c", "cd \(folder) && \(make)"], into: "/dev/null")
        let cases = [
            ("missing", "--mkdir"), ("missing/deep", "--mkdir"), ("file", "not a directory"),
            ("file/x", "cannot reach"), ("full", "nonempty"), ("loop", "cannot reach"),
        ]
        for (name, says) in cases {
            let outcome = Program.run(["mount", "--size", "1M"] + mode + ["\(folder)/\(name)"])
            expect(outcome, 32, says, in: folder)
        }
        let tiny = Program.run(["mount", "--size", "1"] + mode + ["\(folder)/empty"])
        expect(tiny, 64, "does not hold even the root", in: folder)
        let made = Program.run(["mount", "--size", "1", "--mkdir"] + mode + ["\(folder)/a/b"])
        expect(made, 64, "does not hold even the root", in: folder)
        #expect(throws: Errno.noSuchFileOrDirectory) { try Files.status(of: "\(folder)/a") }
    }

    @Test("a stranger's directory", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
    func noPermission() {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let make = "mkdir -m 700 closed && mkdir -m 755 open"
        _ = Program.spawnAndWait("/bin/sh", ["sh", "-c", "cd \(folder) && \(make)"], into: "/dev/null")
        for (name, says) in [("closed", "ermission"), ("closed/x", "ermission"), ("open", "ermission")] {
            let outcome = Program.run(["mount", "--size", "1M", "\(folder)/\(name)"], asUser: Self.nobody)
            expect(outcome, 32, says, in: folder)
        }
        let arguments = ["mount", "--size", "1M", "--mkdir", "\(folder)/open/x"]
        let outcome = Program.run(arguments, asUser: Self.nobody)
        expect(outcome, 32, "ermission", in: folder)
    }

    @Test("no FUSE device", .enabled(if: Program.isRoot, "the tests are not root"))
    func noDevice() {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        // In a mount namespace of its own, /dev/fuse is first covered by /dev/null and then hidden.
        let program = "\(Program.path) mount --size 1M \(folder)"
        for (hide, says) in [
            ("mount --bind /dev/null /dev/fuse", "not the FUSE device"),
            ("mount -t tmpfs none /dev", "there is no /dev/fuse"),
        ] {
            let words = ["unshare", "-m", "sh", "-c", "\(hide) && exec \(program)"]
            let code = Program.spawnAndWait("/usr/bin/unshare", words, into: "\(folder).log")
            let err = (try? Files.text(of: "\(folder).log.err")) ?? ""
            try? Files.remove("\(folder).log.err")
            try? Files.remove("\(folder).log.out")
            expect(Program.Outcome(code: code, out: "", err: err), 32, says, in: folder)
        }
    }

    @Test(
        "an engine that cannot be had is refused with its cause",
        .enabled(if: Program.canMount, "\(Program.mountSkip)"), arguments: ["strict", "passthrough"])
    func engineNotToBeHad(engine: String) {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let arguments = ["mount", "-f", "--size", "1M", "--io", engine, folder]
        let cases = [
            (["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"], "CAP_SYS_ADMIN"),
            (["unshare", "--user", "--map-root-user", "--mount"], "initial user namespace"),
        ]
        for (words, says) in cases {
            let log = "\(folder).log"
            let code = Program.spawnAndWait(
                "/usr/bin/\(words[0])", words + [Program.path] + arguments, into: log)
            let err = (try? Files.text(of: "\(log).err")) ?? ""
            try? Files.remove("\(log).err")
            try? Files.remove("\(log).out")
            let outcome = Program.Outcome(code: code, out: "", err: err)
            expect(outcome, 32, "'\(engine)' cannot be had", in: folder)
            #expect(err.contains(says), "\(err)")
        }
    }

    private func expect(
        _ outcome: Program.Outcome, _ code: Int32, _ says: String, in folder: String,
        at location: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome.code == code, "\(outcome)", sourceLocation: location)
        let lines = outcome.errLines
        #expect(lines.count == 1, "\(outcome)", sourceLocation: location)
        #expect(
            lines.first?.hasPrefix("dmemfs: ") == true && lines.first?.contains(says) == true, "\(outcome)",
            sourceLocation: location)
        let mounts = (try? MountTable.current().entries.filter { $0.mountpoint.hasPrefix(folder) }) ?? []
        #expect(mounts.isEmpty, sourceLocation: location)
        #expect(processes(naming: folder).isEmpty, sourceLocation: location)
    }
}

/// The processes that have `text` in their command line, this one and those that ended left out.
func processes(naming text: String) -> [Int] {
    let all = ((try? Files.names(in: "/proc")) ?? []).compactMap { Int($0) }
    return all.filter { process in
        let line = (try? Files.text(of: "/proc/\(process)/cmdline")) ?? ""
        return process != Int(getpid()) && line.contains(text)
    }
}
