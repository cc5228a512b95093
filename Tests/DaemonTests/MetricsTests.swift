import Basics
import Control
import Daemon
import Fuse
import Glibc
import Support
import Testing

/// What the text of metrics says, as its readers take it apart.
struct MetricsReading {
    /// By the name behind `# TYPE`.
    private(set) var kinds: [String: String] = [:]
    private(set) var helps: [String: String] = [:]
    private(set) var samples: [(name: String, labels: [String: String], value: String)] = []
    private(set) var names: [String] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3)
            if line.hasPrefix("# TYPE ") {
                kinds[String(words[2])] = String(words[3])
                names.append(String(words[2]))
            } else if line.hasPrefix("# HELP ") {
                helps[String(words[2])] = String(words[3])
            } else if !line.hasPrefix("#") {
                sample(line)
            }
        }
    }

    private mutating func sample(_ line: Substring) {
        let name = line.prefix { $0 != "{" }
        let value = line.split(separator: " ").last ?? ""
        var labels: [String: String] = [:]
        // No label of these tests has a comma in it.
        for pair in line.dropFirst(name.count + 1).dropLast(value.count + 2).split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            labels[String(parts[0])] = String(parts[1].dropFirst().dropLast())
        }
        samples.append((String(name), labels, String(value)))
    }

    func value(_ name: String, _ label: String? = nil, _ value: String = "") -> Int? {
        let named = samples.filter { $0.name == name }
        let found = named.first { sample in label.map { sample.labels[$0] == value } ?? true }
        return found.flatMap { Int($0.value) }
    }
}

@Suite("the catalogue of metrics")
struct CatalogueTests {
    private static let quotas = [
        QuotaStatus(directory: "a", maxBytes: 10, maxNodes: 4, usedBytes: 3, usedNodes: 1, reserved: false),
        QuotaStatus(
            directory: "b", maxBytes: nil, maxNodes: nil, usedBytes: 2, usedNodes: 1, reserved: false),
    ]

    private static let users = [
        UserQuotaStatus(user: 1000, maxBytes: 10, maxNodes: 4, usedBytes: 3, usedNodes: 1),
        UserQuotaStatus(user: 1001, maxBytes: nil, maxNodes: nil, usedBytes: 2, usedNodes: 1),
    ]

    private func snapshot(_ quotas: [QuotaStatus] = quotas, maxNodes: Int? = 7) -> MetricsSnapshot {
        var status = ServerTests.status
        status.maxNodes = OptionalCount(maxNodes)
        status.memoryGuard.availableBytes = OptionalCount(12)
        let operation = MetricsSnapshot.Operation(
            name: "read", requests: [1, 0, 2], nanoseconds: 1_500_000_020)
        return MetricsSnapshot(
            status: status, peaks: Peaks(recentPeakBytes: 41, recentPeakNodes: 3),
            crossings: [MetricsSnapshot.Crossing(percent: 80, count: 2)], operations: [operation],
            bounds: [1024, 2_000_000_000], readBytes: 5, writtenBytes: 6,
            quotas: LargestQuotas(quotas: quotas, count: 9, users: Self.users, userCount: 3))
    }

    private func text(_ snapshot: MetricsSnapshot, _ form: MetricsText.Form = .prometheus) -> String {
        String(decoding: MetricsText.encoded(snapshot, as: form), as: UTF8.self)
    }

    @Test("catalogue, output and page say the same")
    func agreement() throws {
        let reading = MetricsReading(text(snapshot()))
        let families = MetricFamily.all
        #expect(reading.names == families.map(\.sampleName))
        #expect(Set(reading.names).count == families.count)
        for family in families {
            #expect(reading.kinds[family.sampleName] == family.kind.rawValue)
            #expect(reading.helps[family.sampleName] == family.help)
            let samples = reading.samples.filter { sample in
                ["", "_bucket", "_sum", "_count"].contains { sample.name == family.sampleName + $0 }
            }
            #expect(!samples.isEmpty, "\(family.name) has no sample")
            for sample in samples {
                let labels = sample.labels.keys.filter { $0 != "mountpoint" && $0 != "le" }.sorted()
                #expect(labels == family.labels.sorted(), "\(sample)")
            }
        }
        let page = try Files.text(of: "\(Script.project)/Sources/Tree/Tree.docc/Metrics.md")
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| `dmemfs_") }.map { String($0) }
        let expected = families.map { family in
            let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
            let cell = labels.isEmpty ? "| |" : "| \(labels) |"
            return "| `\(family.sampleName)` | \(family.kind.rawValue) \(cell) \(family.help) |"
        }
        #expect(rows == expected)
        let operations = RequestFigures.names.map { "`\($0)`" }.joined(separator: ", ")
        #expect(page.replacing("\n", with: " ").contains(operations), "\(operations)")
    }

    @Test("OpenMetrics names counters without their ending, has units, and ends")
    func openMetrics() {
        let text = text(snapshot(), .openMetrics)
        #expect(text.hasSuffix("\n# EOF\n") && !self.text(snapshot()).contains("# EOF"))
        let reading = MetricsReading(text)
        #expect(reading.names == MetricFamily.all.map(\.name))
        #expect(reading.value("dmemfs_refusals_total", "reason", "guard") == 5)
        #expect(text.contains("# UNIT dmemfs_read_bytes bytes\n"))
    }

    @Test("buckets are sums, and times are seconds")
    func histogram() {
        let reading = MetricsReading(text(snapshot()))
        let buckets = reading.samples.filter { $0.name == "dmemfs_request_duration_seconds_bucket" }
        #expect(buckets.map(\.value) == ["1", "1", "3"])
        #expect(buckets.map { $0.labels["le"] } == ["0.000001024", "2", "+Inf"])
        #expect(reading.value("dmemfs_request_duration_seconds_count") == 3)
        let sum = reading.samples.first { $0.name == "dmemfs_request_duration_seconds_sum" }
        #expect(sum?.value == "1.50000002")
    }

    @Test("no name breaks the text: quotes are escaped, what is said twice or is endless is left out")
    func names() {
        let names = ["say \"a\"\\\n", "same", "same", String(repeating: "x", count: 1025)]
        let quotas = names.map {
            QuotaStatus(directory: $0, maxBytes: 1, maxNodes: 1, usedBytes: 1, usedNodes: 1, reserved: false)
        }
        let text = text(snapshot(quotas))
        #expect(text.contains(#"directory="say \"a\"\\\n"} 1"#))
        #expect(text.split(separator: "\n").count { $0.contains("dmemfs_directory_nodes{") } == 2)
        #expect(MetricsReading(text).value("dmemfs_directories_left_out") == 7)
    }
}

@Suite("metrics of a mount", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct MetricsTests {
    private let mount = Mounted(["--size", "64M", "--memory-guard", "none", "--metrics-listen", ":0"])

    private func metrics(_ words: [String] = [], asUser user: UInt32? = nil) -> MetricsReading {
        let outcome = Program.run(["metrics", mount.mountpoint] + words, asUser: user)
        #expect(outcome.code == 0 && outcome.err == "", "\(outcome)")
        return MetricsReading(outcome.out)
    }

    private func write(_ mebibytes: Int, to file: String) -> Int32 {
        let words = ["dd", "if=/dev/zero", "of=\(mount.mountpoint)/\(file)", "bs=1M", "count=\(mebibytes)"]
        return Program.spawnAndWait("/bin/dd", words, into: "\(mount.folder)/dd")
    }

    @Test("what is done is counted; peaks begin anew when asked to")
    func figures() throws {
        try #require(mount.isReady)
        #expect(write(5, to: "f") == 0 && write(65, to: "g") != 0)
        #expect(unsafe unlink("\(mount.mountpoint)/g") == 0)
        let first = metrics(["--reset-peaks"])
        let written = try #require(first.value("dmemfs_written_bytes_total"))
        #expect(written > 60 << 20 && written <= 64 << 20 && written & 4095 == 0)
        #expect(first.value("dmemfs_refusals_total", "reason", "bytes") == 1)
        #expect(first.value("dmemfs_threshold_crossings_total", "percent", "80") != nil)
        let unlinks = first.value("dmemfs_request_duration_seconds_count", "operation", "unlink")
        #expect(unlinks == 1)
        #expect(
            first.value("dmemfs_guard_available_bytes") == nil && first.value("dmemfs_limit_nodes") == nil)
        let peak = try #require(first.value("dmemfs_peak_bytes"))
        #expect(peak > 60 << 20 && first.value("dmemfs_recent_peak_bytes") == peak)
        let second = metrics()
        let used = try #require(second.value("dmemfs_used_bytes"))
        #expect(second.value("dmemfs_peak_bytes") == peak)
        #expect(second.value("dmemfs_recent_peak_bytes") == used && used < 32 << 20)
        #expect(second.value("dmemfs_recent_peak_nodes") == 2 && second.value("dmemfs_peak_nodes") == 3)
        let stranger = Program.run(["metrics", mount.mountpoint, "--reset-peaks"], asUser: 65_534)
        #expect(stranger.code == 1 && stranger.err.contains("permission denied"), "\(stranger)")
    }

    @Test("only who may know the names of directories reads them")
    func rights() throws {
        try #require(mount.isReady)
        let job = "\(mount.mountpoint)/job"
        try Files.makeFolder(job, mode: 0o755)
        #expect(Program.run(["quota", "set", job, "--size", "1M"]).code == 0)
        #expect(metrics().value("dmemfs_directory_limit_bytes", "directory", "job") == 1 << 20)
        let stranger = metrics(asUser: 65_534)
        #expect(stranger.value("dmemfs_directories") == 1)
        #expect(stranger.value("dmemfs_directory_limit_bytes") == nil)
        #expect(stranger.value("dmemfs_directories_left_out") == 1)
    }

    @Test("a text file is there as a whole, readable by all, and nothing else beside it")
    func textFile() throws {
        try #require(mount.isReady)
        let folder = "\(mount.folder)/texts"
        try Files.makeFolder(folder, mode: 0o755)
        let file = "\(folder)/dmemfs.prom"
        for _ in 0..<2 {
            let outcome = Program.run(["metrics", mount.mountpoint, "--textfile", file])
            #expect(outcome.code == 0 && outcome.out == "" && outcome.err == "", "\(outcome)")
        }
        #expect(try Files.names(in: folder) == ["dmemfs.prom"])
        var status = stat()
        #expect(unsafe stat(file, &status) == 0 && status.st_mode & 0o7777 == 0o644)
        #expect(MetricsReading(try Files.text(of: file)).value("dmemfs_limit_bytes") == 64 << 20)
        // A folder cannot be replaced by a file: nothing may be left of the attempt.
        let refused = Program.run(["metrics", mount.mountpoint, "--textfile", folder])
        #expect(refused.code == 1 && refused.errLines.count == 1, "\(refused)")
        #expect(try Files.names(in: mount.folder).allSatisfy { !$0.hasPrefix("texts.") })
        let nowhere = Program.run(["metrics", mount.mountpoint, "--textfile", "\(folder)/none/x"])
        #expect(nowhere.code == 1 && nowhere.err.contains("cannot write"), "\(nowhere)")
    }

    @Test("with ten thousand quotas a scrape names the two hundred largest, and counts the rest")
    func manyQuotas() throws {
        try #require(mount.isReady)
        for number in 0..<10_000 {
            let path = Path("\(mount.mountpoint)/directory-\(number)")
            try Kernel.mkdir(path)
            try Kernel.setXattr(path, "trusted.dmemfs.quota.max_bytes", Array("4194304".utf8))
        }
        #expect(write(1, to: "directory-17/f") == 0)
        let outcome = Program.run(["metrics", mount.mountpoint])
        #expect(outcome.out.utf8.count < 256 << 10, "\(outcome.out.utf8.count)")
        let reading = MetricsReading(outcome.out)
        #expect(reading.value("dmemfs_directories") == 10_000)
        #expect(reading.value("dmemfs_directories_left_out") == 9_800)
        let named = reading.samples.filter { $0.name == "dmemfs_directory_used_bytes" }
        #expect(named.count == 200 && named.first?.labels["directory"] == "directory-17")
    }

    @Test("an address that is taken is a reason not to mount; bad words are usage")
    func addresses() throws {
        try #require(mount.isReady)
        let port = try #require(mount.metricsPort)
        let folder = "\(mount.folder)/other"
        try Files.makeFolder(folder, mode: 0o755)
        let taken = Program.run(["mount", "--size", "1M", "--metrics-listen", ":\(port)", folder])
        #expect(taken.code == 32 && taken.err.contains("cannot listen on 127.0.0.1:\(port)"), "\(taken)")
        #expect(try MountTable.current().top(at: folder) == nil)
        for words in [["--metrics-listen", "x"], ["--metrics-listen", "::1:80"], ["--page"]] {
            #expect(Program.run(["mount", "--size", "1M"] + words + [folder]).code == 64, "\(words)")
        }
    }
}

extension Mounted {
    /// Where the mount told that its metrics are; nil where it has not.
    var metricsPort: UInt16? {
        let words = err.split { $0 == "/" || $0 == ":" || $0.isNewline || $0 == " " }
        guard let place = words.firstIndex(of: "127.0.0.1"), place + 1 < words.count else { return nil }
        return UInt16(words[place + 1])
    }
}
