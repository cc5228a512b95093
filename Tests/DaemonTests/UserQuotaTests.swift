import Basics
import Control
import Daemon
import Glibc
import Support
import Testing

@Suite("limits of users on a mount", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct UserQuotaTests {
    /// Two that the system need not know.
    private static let (anna, ben): (UInt32, UInt32) = (61_001, 61_002)

    private let mount = Mounted(["--size", "64M"])

    private func quota(_ words: [String], asUser user: UInt32? = nil) -> Program.Outcome {
        Program.run(["quota"] + words, asUser: user)
    }

    private func limit(_ user: UInt32, _ words: [String]) -> Program.Outcome {
        quota(["set", "--user", "\(user)", mount.mountpoint] + words)
    }

    private func state(_ user: UInt32) throws -> UserQuotaStatus {
        let got = quota(["get", "--user", "\(user)", mount.mountpoint, "--json"])
        return try JSON.decode(UserQuotaStatus.self, from: Array(got.out.utf8))
    }

    private func start(_ user: UInt32, writing mebibytes: Int, to name: String) -> pid_t {
        let rights = ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--"]
        let words = ["dd", "if=/dev/zero", "of=\(mount.mountpoint)/\(name)", "bs=64k"]
        return Program.spawn(
            "/usr/bin/env", ["env", "LC_ALL=C"] + rights + words + ["count=\(mebibytes * 16)"],
            into: "\(mount.folder)/\(name)")
    }

    private func write(_ mebibytes: Int, to name: String, asUser user: UInt32) -> Int32 {
        Program.end(of: start(user, writing: mebibytes, to: name))
    }

    /// Rule: users.limits
    @Test("who writes to his limit is refused with EDQUOT, while another goes on")
    func two() throws {
        try #require(mount.isReady)
        #expect(limit(Self.anna, ["--size", "4M", "--max-nodes", "3"]).code == 0)
        #expect(limit(Self.ben, ["--size", "40M"]).code == 0)
        let both = [
            start(Self.anna, writing: 20, to: "anna"), start(Self.ben, writing: 20, to: "ben"),
        ]
        #expect(both.map { Program.end(of: $0) } == [1, 0])
        let said = try Files.text(of: "\(mount.folder)/anna.err")
        #expect(said.contains("Disk quota exceeded"), "\(said)")
        let (anna, ben) = (try state(Self.anna), try state(Self.ben))
        #expect(anna.usedBytes > 3900 << 10 && anna.usedBytes <= 4 << 20 && anna.usedNodes == 1)
        #expect(ben.usedBytes > 20 << 20 && ben.usedBytes < 21 << 20)
        #expect(write(1, to: "more", asUser: 61_003) == 0)
        // To whose file somebody writes counts, and not who he is.
        let file = "\(mount.mountpoint)/anna"
        #expect(unsafe chmod(file, 0o666) == 0)
        // Without O_CREAT, which fs.protected_regular may forbid in a directory with the sticky bit.
        let append = "dd if=/dev/zero of=\(file) bs=1M count=1 oflag=append conv=notrunc,nocreat"
        #expect(Program.spawnAndWait("/bin/sh", ["sh", "-c", append], into: "\(mount.folder)/sh") != 0)
        let status = try Client.status(of: try #require(mount.entry))
        let refusals = status.refusals
        #expect(refusals.user >= 2 && refusals.bytes == 0 && refusals.directory == 0, "\(refusals)")
        #expect(status.refusals.summary.contains("for user"))
    }

    /// Rule: users.chown
    @Test("chown counts for the new owner, or is EDQUOT and leaves the file to the old one")
    func give() throws {
        try #require(mount.isReady)
        #expect(limit(Self.anna, ["--size", "3M"]).code == 0)
        #expect(write(2, to: "a", asUser: Self.ben) == 0 && write(2, to: "b", asUser: Self.ben) == 0)
        let (first, second) = ("\(mount.mountpoint)/a", "\(mount.mountpoint)/b")
        #expect(unsafe chown(first, Self.anna, Self.anna) == 0)
        let used = try state(Self.anna).usedBytes
        #expect(used > 2 << 20)
        let result = unsafe chown(second, Self.anna, Self.anna)
        #expect(result == -1 && errno == EDQUOT)
        var found = Glibc.stat()
        #expect(unsafe stat(second, &found) == 0 && found.st_uid == Self.ben && found.st_gid == Self.ben)
        #expect(try state(Self.anna).usedBytes == used)
        let why = Program.run(["why", mount.mountpoint, "--json"])
        let refusal = try JSON.decode(RefusalList.self, from: Array(why.out.utf8)).refusals.last
        #expect(refusal?.operation == "chown" && refusal?.limitUser.value == Int(Self.anna), "\(why.out)")
        #expect(unsafe chown(first, Self.ben, Self.ben) == 0)
        #expect(unsafe chown(second, Self.anna, Self.anna) == 0)
        #expect(try state(Self.anna).usedNodes == 1)
    }

    /// Rule: users.set
    @Test("what is there counts; below it a limit is refused with the figures, or drains; rm frees it")
    func content() throws {
        try #require(mount.isReady)
        #expect(write(4, to: "a", asUser: Self.anna) == 0)
        let refused = limit(Self.anna, ["--size", "2M"])
        #expect(refused.code == 1 && refused.errLines.count == 1, "\(refused)")
        for part in ["user \(Self.anna)", "holds 4 MiB (4", "more than 2 MiB (2097152 bytes)", "--drain"] {
            #expect(refused.err.contains(part), "\(refused.err)")
        }
        #expect(quota(["get", "--user", "\(Self.anna)", mount.mountpoint]).code == 1)
        let drained = limit(Self.anna, ["--size", "2M", "--drain"])
        #expect(drained.code == 0 && drained.out.contains("user \(Self.anna): 4 MiB of 2 MiB"), "\(drained)")
        #expect(write(1, to: "b", asUser: Self.anna) != 0 && write(1, to: "c", asUser: Self.ben) == 0)
        let folder = "\(mount.mountpoint)/folder"
        try Files.makeFolder(folder, mode: 0o755)
        #expect(quota(["set", folder, "--size", "8M"]).code == 0)
        let list = quota(["list", mount.mountpoint])
        #expect(list.out.split(separator: "\n").count == 2, "\(list)")
        let all = try JSON.decode(
            QuotaList.self, from: Array(quota(["list", mount.mountpoint, "--json"]).out.utf8))
        #expect(all.users.map(\.user) == [Int(Self.anna)] && all.quotas.map(\.directory) == ["folder"])
        #expect(quota(["rm", "--user", "\(Self.anna)", mount.mountpoint]).code == 0)
        #expect(write(1, to: "b", asUser: Self.anna) == 0)
        let gone = quota(["rm", "--user", "\(Self.anna)", mount.mountpoint])
        #expect(gone.code == 1 && gone.err.contains("has no limit"), "\(gone)")
    }

    @Test("why and the log name the user and his limit")
    func why() throws {
        try #require(mount.isReady)
        #expect(limit(Self.anna, ["--size", "1M"]).code == 0)
        #expect(write(4, to: "a", asUser: Self.anna) != 0)
        let said = Program.run(["why", mount.mountpoint])
        let line = said.out.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let whose = "the limit of user \(Self.anna) had"
        for part in ["EDQUOT", "(dd) of user \(Self.anna)", whose, "of 1 MiB"] {
            #expect(line.contains(part), "\(part): \(said.out)")
        }
        #expect(Program.run(["why", mount.mountpoint], asUser: Self.anna).out == said.out)
        let words = "user \(Self.anna) has reached the limit of 1 MiB on \(mount.mountpoint)"
        #expect(Patience.until { mount.err.contains(words) })
        #expect(mount.err.contains("\(mount.mountpoint)/a ("), "\(mount.err)")
        let threshold = "user \(Self.anna) on \(mount.mountpoint) has come to 90 % of the limit of 1 MiB"
        #expect(Patience.until { mount.err.contains(threshold) }, "\(mount.err)")
    }

    /// Rule: users.rights
    @Test("a user may ask for his own limit, and neither set, raise nor remove one")
    func stranger() throws {
        try #require(mount.isReady)
        #expect(limit(Self.anna, ["--size", "8M"]).code == 0 && limit(Self.ben, ["--size", "8M"]).code == 0)
        let whose = ["--user", "\(Self.anna)", mount.mountpoint]
        let attempts = [
            ["set"] + whose + ["--size", "16M"], ["set"] + whose + ["--size", "4M"], ["rm"] + whose,
            ["list", mount.mountpoint], ["get", "--user", "\(Self.ben)", mount.mountpoint],
        ]
        for words in attempts {
            let outcome = quota(words, asUser: Self.anna)
            #expect(outcome.code == 1 && outcome.err.contains("permission denied"), "\(words): \(outcome)")
        }
        let own = quota(["get"] + whose, asUser: Self.anna)
        #expect(own.code == 0 && own.out.contains("of 8 MiB") && quota(["get"] + whose).out == own.out)
    }

    @Test("bad words are told apart, and a name is as good as a number")
    func usage() throws {
        try #require(mount.isReady)
        let place = mount.mountpoint
        for words in [
            ["--user", "nobody knows", place, "--size", "1M"],
            ["--user", "4294967295", place, "--size", "1M"], ["--user", "0", place],
            ["--user", "0", place, "--size", "1M", "--reserve"],
        ] {
            #expect(quota(["set"] + words).code == 64, "\(words)")
        }
        #expect(quota(["set", "--user", "0", "/proc", "--size", "1M"]).code == 69)
        let root = quota(["set", "--user", "root", place, "--size", "1M"])
        #expect(root.code == 0 && root.out.contains("user 0 (root): "), "\(root)")
        let (file, log) = ("\(place)/f", "\(mount.folder)/allocate")
        let words = ["fallocate", "-l", "2M", file]
        let allocate = { Program.spawnAndWait("/usr/bin/fallocate", words, into: log) }
        #expect(allocate() != 0)
        #expect(quota(["set", "--user", "root", place, "--size", "none"]).out.contains("of no limit"))
        #expect(allocate() == 0)
    }

    @Test("metrics, the largest and top have the users with limits")
    func figures() throws {
        try #require(mount.isReady)
        #expect(limit(Self.anna, ["--size", "8M"]).code == 0)
        #expect(limit(Self.ben, ["--max-nodes", "9"]).code == 0)
        #expect(write(2, to: "a", asUser: Self.anna) == 0)
        let entry = try #require(mount.entry)
        let text = String(decoding: try Client.metrics(of: entry, as: .prometheus), as: UTF8.self)
        let reading = MetricsReading(text)
        #expect(reading.value("dmemfs_users") == 2 && reading.value("dmemfs_users_left_out") == 0)
        #expect(reading.value("dmemfs_user_limit_bytes", "user", "\(Self.anna)") == 8 << 20)
        #expect(reading.value("dmemfs_user_limit_nodes", "user", "\(Self.ben)") == 9)
        #expect(reading.value("dmemfs_user_nodes", "user", "\(Self.anna)") == 1)
        let largest = try Client.largestQuotas(of: entry, upTo: 1).get()
        #expect(largest.users.map(\.user) == [Int(Self.anna)] && largest.userCount == 2)
        let top = Program.run(["top", mount.mountpoint, "--by", "user"])
        #expect(top.out.contains("\(Self.anna), limit 8 MiB"), "\(top)")
        let json = Program.run(["top", mount.mountpoint, "--by", "user", "--json"])
        #expect(json.out.contains("\"limit_bytes\" : 8388608"), "\(json)")
    }

    @Test("engines in which the kernel stores by itself refuse, and say which does not")
    func engines() throws {
        for engine in ["strict", "passthrough"] {
            let mount = Mounted(["--size", "16M", "--io", engine])
            // Not every machine has them.
            guard mount.isReady else { continue }
            let set = quota(["set", "--user", "\(Self.anna)", mount.mountpoint, "--size", "1M"])
            if engine == "passthrough" {
                #expect(set.code == 1 && set.err.contains("'--io memory' or '--io strict'"), "\(set)")
                continue
            }
            #expect(set.code == 0, "\(set)")
            let path = "\(mount.mountpoint)/a"
            try Files.replace(path, with: [UInt8](repeating: 1, count: 600 << 10))
            #expect(unsafe chown(path, Self.anna, Self.anna) == 0)
            let other = "\(mount.mountpoint)/b"
            try Files.replace(other, with: [UInt8](repeating: 1, count: 600 << 10))
            #expect(unsafe chown(other, Self.anna, Self.anna) == -1 && errno == EDQUOT)
        }
    }
}
