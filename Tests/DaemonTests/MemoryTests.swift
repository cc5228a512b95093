import Accounting
import Basics
import Daemon
import Testing

/// Writes files, each text with an end of line, below `root`.
private func lay(_ files: [String: String], below root: String) {
    for (path, text) in files {
        let folder = "\(root)\(path.prefix(upTo: path.lastIndex(of: "/")!))"
        _ = Program.spawnAndWait("/bin/mkdir", ["mkdir", "-p", folder], into: "/dev/null")
        let words = ["sh", "-c", "printf '%s\\n' \"$1\" >\"$2\"", "sh", text, root + path]
        _ = Program.spawnAndWait("/bin/sh", words, into: "/dev/null")
    }
}

@Suite("how much memory a percentage is of")
struct MachineMemoryTests {
    /// Lays files out below a folder of their own and asks.
    private func available(_ files: [String: String]) throws -> Int {
        let root = Folder.make()
        defer { Folder.remove(root) }
        lay(files, below: root)
        return try MachineMemory.available(root: root)
    }

    private let meminfo = "MemTotal:       1048576 kB\nMemFree: 5 kB"

    @Test("without cgroups it is the machine's")
    func machine() throws {
        let files = ["/proc/meminfo": meminfo, "/proc/self/mountinfo": "", "/proc/self/cgroup": ""]
        #expect(try available(files) == 1 << 30)
    }

    @Test("version 2: the groups above the daemon's own count, its own does not")
    func unified() throws {
        let files = [
            "/proc/meminfo": meminfo,
            "/proc/self/mountinfo": "31 23 0:28 / /cg rw - cgroup2 cgroup2 rw",
            "/proc/self/cgroup": "0::/outer/inner/own",
            "/cg/outer/memory.max": "max",
            "/cg/outer/inner/memory.max": "268435456",
            "/cg/outer/inner/own/memory.max": "1048576",
        ]
        #expect(try available(files) == 256 << 20)
    }

    @Test("version 2 in a container: the group that it sees as the root counts")
    func container() throws {
        let files = [
            "/proc/meminfo": meminfo,
            "/proc/self/mountinfo": "31 23 0:28 / /cg rw - cgroup2 cgroup2 rw",
            "/proc/self/cgroup": "0::/",
            "/cg/memory.max": "134217728",
        ]
        #expect(try available(files) == 128 << 20)
    }

    @Test("version 1: below the part of the hierarchy that is mounted")
    func legacy() throws {
        let files = [
            "/proc/meminfo": meminfo,
            "/proc/self/mountinfo": "35 31 0:32 /docker/abc /cg/memory rw - cgroup cgroup rw,memory",
            "/proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc/unit",
            "/cg/memory/memory.limit_in_bytes": "536870912",
            "/cg/memory/unit/memory.limit_in_bytes": "1048576",
        ]
        #expect(try available(files) == 512 << 20)
    }
}

@Suite("what memory there is")
struct AvailableMemoryTests {
    private static let unified = [
        "/proc/meminfo": "MemTotal: 1048576 kB\nMemAvailable: 524288 kB",
        "/proc/self/mountinfo": "31 23 0:28 / /cg rw - cgroup2 cgroup2 rw",
        "/proc/self/cgroup": "0::/outer/own",
        "/cg/outer/memory.max": "268435456",
        "/cg/outer/memory.high": "max",
        "/cg/outer/memory.current": "201326592",
        "/cg/outer/memory.stat": "anon 5\ninactive_file 33554432\nactive_file 33554432\nfile_dirty 4096",
        "/cg/outer/own/memory.max": "max",
        "/cg/outer/own/memory.high": "max",
        "/cg/outer/own/memory.current": "5",
        "/cg/outer/own/memory.stat": "",
    ]

    /// Lays the files out and returns what is available before and after each change.
    private func readings(
        _ files: [String: String], _ changes: [[String: String]] = []
    ) -> [MemoryReading?] {
        let root = Folder.make()
        defer { Folder.remove(root) }
        lay(files, below: root)
        let memory = AvailableMemory(root: root)
        var readings = [memory.reading()]
        for change in changes {
            lay(change, below: root)
            readings.append(memory.reading())
        }
        return readings
    }

    private func available(_ files: [String: String], _ changes: [[String: String]] = []) -> [Int?] {
        readings(files, changes).map { $0?.availableBytes }
    }

    @Test("the least of the machine's and of each group's, where cache that can go is no use")
    func least() {
        let before = (256 << 20) - (192 << 20) + (64 << 20) - 4096
        let changes = [
            ["/cg/outer/own/memory.high": "1048576"],
            ["/cg/outer/own/memory.high": "max", "/proc/meminfo": "MemAvailable: 4 kB"],
            ["/proc/meminfo": "MemAvailable: 524288 kB", "/cg/outer/memory.max": "104857600"],
        ]
        #expect(available(Self.unified, changes) == [before, (1 << 20) - 5, 4096, before - (156 << 20)])
    }

    @Test("version 1, below the part of the hierarchy that is mounted")
    func version1() {
        let files = [
            "/proc/meminfo": "MemAvailable: 1048576 kB",
            "/proc/self/mountinfo": "35 31 0:32 /docker/abc /cg/memory rw - cgroup cgroup rw,memory",
            "/proc/self/cgroup": "4:memory:/docker/abc/unit\n0::/",
            "/cg/memory/memory.limit_in_bytes": "9223372036854771712",
            "/cg/memory/unit/memory.limit_in_bytes": "314572800",
            "/cg/memory/unit/memory.usage_in_bytes": "104857600",
            "/cg/memory/unit/memory.stat": "inactive_file 1\ntotal_inactive_file 4194304\ntotal_dirty 0",
        ]
        #expect(available(files) == [204 << 20])
    }

    @Test("a daemon that is moved to another group is judged by that one")
    func moved() {
        let moved = [
            "/proc/self/cgroup": "0::/other", "/cg/other/memory.max": "1000", "/cg/other/memory.current": "1",
        ]
        #expect(available(Self.unified, [moved]).last == 999)
    }

    @Test("the pressure is the higher of the machine's and the group's")
    func pressure() {
        var files = Self.unified
        #expect(readings(files).first??.pressurePercent == nil)
        files["/proc/pressure/memory"] = "some avg10=3.00 avg60=0.00"
        files["/cg/outer/own/memory.pressure"] = "some avg10=7.99 avg60=0.00"
        #expect(readings(files).first??.pressurePercent == 7)
    }

    @Test("malformed files are as good as none")
    func malformed() {
        #expect(available([:]) == [nil])
        var files = Self.unified.mapValues { _ in "-17 garbage" }
        #expect(available(files) == [nil])
        files = Self.unified
        files["/cg/outer/memory.current"] = "x"
        #expect(available(files) == [512 << 20])
        files["/cg/outer/memory.current"] = "9223372036854775807"
        files["/cg/outer/memory.stat"] = "inactive_file 9223372036854775807\nactive_file 9"
        #expect(available(files) == [256 << 20])
    }

    @Test("this machine can be read")
    func real() throws {
        let reading = try #require(AvailableMemory().reading())
        #expect(reading.availableBytes > 0 && reading.availableBytes < 1 << 50)
    }
}
