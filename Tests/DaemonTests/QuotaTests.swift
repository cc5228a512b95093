import Basics
import Control
import Daemon
import Glibc
import Testing

@Suite("the quota commands", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct QuotaTests {
    private let mount = Mounted(["--size", "64M"])

    private func quota(_ words: [String], asUser user: UInt32? = nil) -> Program.Outcome {
        Program.run(["quota"] + words, asUser: user)
    }

    private func folder(_ name: String) throws -> String {
        let path = "\(mount.mountpoint)/\(name)"
        try Files.makeFolder(path, mode: 0o755)
        return path
    }

    private func write(_ mebibytes: Int, to file: String) -> Int32 {
        let words = ["dd", "if=/dev/zero", "of=\(file)", "bs=1M", "count=\(mebibytes)"]
        return Program.spawnAndWait("/bin/dd", words, into: "\(mount.folder)/dd")
    }

    @Test("set, get, list, change and rm do what they say")
    func life() throws {
        try #require(mount.isReady)
        let job = try folder("job 1")
        let set = quota(["set", job, "--size", "8M", "--max-nodes", "1k"])
        #expect(set.code == 0 && set.err == "" && set.out.contains("of 8 MiB, nodes 1 of 1024"), "\(set)")
        #expect(write(6, to: "\(job)/f") == 0 && write(10, to: "\(job)/g") != 0)
        let got = quota(["get", job, "--json"])
        let status = try JSON.decode(QuotaStatus.self, from: Array(got.out.utf8))
        #expect(status.directory == "job 1" && status.maxBytes.value == 8 << 20 && !status.reserved)
        #expect(status.usedNodes == 3 && status.usedBytes > 6 << 20 && status.usedBytes <= 8 << 20)
        let raised = quota(["set", job, "--size", "25%", "--max-nodes", "none"])
        #expect(raised.code == 0 && raised.out.contains("of 16 MiB, nodes 3\n"), "\(raised)")
        let inner = try folder("job 1/inner")
        #expect(quota(["set", inner, "--size", "1M", "--reserve"]).code == 0)
        let list = quota(["list", mount.mountpoint])
        #expect(
            list.out.split(separator: "\n").count == 2 && list.out.contains("1 MiB, set aside"), "\(list)")
        let all = try JSON.decode(
            QuotaList.self, from: Array(quota(["list", mount.mountpoint, "--json"]).out.utf8))
        #expect(all.quotas.map(\.directory) == ["job 1", "job 1/inner"])
        #expect(quota(["rm", job]).code == 0 && quota(["rm", inner]).code == 0)
        #expect(quota(["list", mount.mountpoint]).out == "")
    }

    @Test("a limit below use is refused with the figures, and taken with --drain")
    func drain() throws {
        try #require(mount.isReady)
        let job = try folder("job")
        #expect(write(4, to: "\(job)/f") == 0)
        let refused = quota(["set", job, "--size", "2M"])
        #expect(refused.code == 1 && refused.errLines.count == 1, "\(refused)")
        for part in ["holds 4 MiB (4", "more than 2 MiB (2097152 bytes)", "--drain"] {
            #expect(refused.err.contains(part), "\(refused.err)")
        }
        #expect(quota(["get", job]).code == 1)
        #expect(quota(["set", job, "--size", "2M", "--drain"]).code == 0)
        #expect(write(4, to: "\(job)/g") != 0)
        let large = quota(["set", try folder("large"), "--size", "1G", "--reserve"])
        #expect(large.code == 1 && large.err.contains("cannot have 1 GiB"), "\(large)")
    }

    /// Rule: quotas.links
    @Test("a link from outside is named")
    func stray() throws {
        try #require(mount.isReady)
        let job = try folder("job")
        _ = try folder("else")
        let file = "\(job)/f"
        #expect(write(1, to: file) == 0)
        #expect(unsafe link(file, "\(mount.mountpoint)/else/other") == 0)
        let refused = quota(["set", job, "--size", "2M"])
        #expect(refused.code == 1 && refused.err.contains("\(mount.mountpoint)/else/other"), "\(refused)")
        #expect(quota(["list", mount.mountpoint]).out == "")
    }

    /// Rule: quotas.rights
    @Test("a stranger may neither set, raise nor remove, and sees what he can search")
    func stranger() throws {
        try #require(mount.isReady)
        let (job, hidden) = (try folder("job"), try folder("hidden"))
        let within = try folder("hidden/within")
        #expect(unsafe chmod(hidden, 0o700) == 0)
        for path in [job, within] { #expect(quota(["set", path, "--size", "8M"]).code == 0) }
        let attempts = [
            ["set", job, "--size", "16M"], ["set", job, "--size", "4M"], ["rm", job],
            ["list", mount.mountpoint], ["get", within],
        ]
        for words in attempts {
            let outcome = quota(words, asUser: 65_534)
            #expect(outcome.code == 1 && outcome.errLines.count == 1, "\(words): \(outcome)")
        }
        let seen = quota(["get", job], asUser: 65_534)
        #expect(seen.code == 0 && seen.out.contains("of 8 MiB"), "\(seen)")
        #expect(quota(["get", job]).out == seen.out)
    }

    @Test("bad words and places are told apart")
    func usage() throws {
        try #require(mount.isReady)
        let job = try folder("job")
        for words in [["--size", "0"], ["--size", "x"], ["--max-nodes", "-1"], []] {
            #expect(quota(["set", job] + words).code == 64, "\(words)")
        }
        let places = [
            ("\(job)/none", 1, "cannot find"), (mount.mountpoint, 1, "dmemfs resize"),
            ("/proc", 69, "is not in a dmemfs"),
        ]
        for (place, code, text) in places {
            let outcome = quota(["set", place, "--size", "1M"])
            #expect(outcome.code == Int32(code) && outcome.err.contains(text), "\(outcome)")
        }
    }
}
