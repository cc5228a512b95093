import Accounting
import Basics
import Support
import Testing

@Suite("What the kernel says of memory")
struct ProbeTests {
    private func read<Value>(_ text: String, _ parse: (RawSpan) -> Value) -> Value {
        Array(text.utf8).withRawSpan { parse($0) }
    }

    private static let meminfo = """
        MemTotal:       24684084 kB
        MemFree:        23042856 kB
        MemAvailable:   23425440 kB
        Buffers:           12664 kB
        """

    @Test("meminfo")
    func meminfo() {
        #expect(read(Self.meminfo, MemoryProbe.available) == 23_425_440 << 10)
        #expect(read(Self.meminfo, MemoryProbe.total) == 24_684_084 << 10)
        let malformed = [
            "", "\n", "MemAvailable:", "MemAvailable: ", "MemAvailable: kB", "MemAvailable: -5 kB",
            "MemAvailable: 5x kB", "MemAvailable: 99999999999999999999 kB", "xMemAvailable: 5 kB",
            "MemAvailable: 4503599627370496 kB", "MemAvailable:5 kB",
        ]
        for text in malformed { #expect(read(text, MemoryProbe.available) == nil, "\(text)") }
        #expect(read("MemAvailable:\t5", MemoryProbe.available) == 5 << 10)
    }

    @Test("limits and use, of both versions")
    func limits() {
        #expect(read("314572800\n", MemoryProbe.limit) == 300 << 20)
        #expect(read("0\n", MemoryProbe.limit) == 0)
        let unlimited = [
            "max\n", "9223372036854771712\n", "18446744073709551615\n", "", "\n", "-1", "1 2", "x",
        ]
        for text in unlimited { #expect(read(text, MemoryProbe.limit) == nil, "\(text)") }
        #expect(read(" 12 \n\n", MemoryProbe.bytes) == 12)
        #expect(read("9223372036854775807", MemoryProbe.bytes) == Int.max)
        #expect(read("9223372036854775808", MemoryProbe.bytes) == nil)
    }

    @Test("the cache of a version 1 group and of all below it")
    func version1() {
        let stat = """
            cache 1
            dirty 1
            inactive_file 7
            active_file 7
            hierarchical_memory_limit 9223372036854771712
            total_dirty 12603392
            total_writeback 4096
            total_inactive_file 475709440
            total_active_file 386662400
            """
        #expect(read(stat, MemoryProbe.reclaimable) == 475_709_440 + 386_662_400 - 12_603_392 - 4096)
    }

    @Test("the cache of a version 2 group")
    func version2() {
        let stat = """
            anon 5296128
            file 27090944
            file_mapped 11894784
            file_dirty 4096
            file_writeback 8192
            inactive_anon 5246976
            inactive_file 13557760
            active_file 13516800
            """
        #expect(read(stat, MemoryProbe.reclaimable) == 13_557_760 + 13_516_800 - 12_288)
        #expect(read("inactive_file 5\nfile_dirty 9\n", MemoryProbe.reclaimable) == 0)
        let huge = "inactive_file 9223372036854775807\nactive_file 9223372036854775807\n"
        #expect(read(huge, MemoryProbe.reclaimable) == Int.max)
        for text in ["", "inactive_file", "inactive_file x\n", "file 3\n"] {
            #expect(read(text, MemoryProbe.reclaimable) == 0, "\(text)")
        }
    }

    @Test("pressure")
    func pressure() {
        let text = "some avg10=21.87 avg60=1.00 avg300=0.00 total=5\nfull avg10=3.00 avg60=0.00 total=1\n"
        #expect(read(text, MemoryProbe.pressure) == 21)
        #expect(read("full avg10=9.00\nsome avg60=1.00 avg10=0.05\n", MemoryProbe.pressure) == 0)
        for text in ["", "some", "some ", "some avg10=", "some avg10=x", "some avg10=101", "full avg10=5"] {
            #expect(read(text, MemoryProbe.pressure) == nil, "\(text)")
        }
    }

    @Test("where this process is in a hierarchy")
    func cgroup() {
        let text = "9:name=systemd:/\n4:cpu,memory:/a/b:c\n3:cpuset:/\n0::/u\nbroken\n7:memory\n"
        #expect(MemoryProbe.path(of: "memory", cgroup: text) == "/a/b:c")
        #expect(MemoryProbe.path(of: nil, cgroup: text) == "/u")
        #expect(MemoryProbe.path(of: "pids", cgroup: text) == nil)
        #expect(MemoryProbe.path(of: nil, cgroup: "") == nil)
    }

    @Test("no bytes whatever trap")
    func fuzz() {
        var generator = Generator(seed: Generator.seed(usual: 20_260_704))
        let words = [
            "MemAvailable:", "MemTotal:", "total_inactive_file", "inactive_file", "active_file", "file_dirty",
            "some", "avg10=", " ", "\n", "\t", "9223372036854775807", "99999999999999999999", "0", "-", ":",
            "max", "kB", "12",
        ]
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<generator.below(12) {
                bytes += generator.chance(80) ? Array(generator.pick(words).utf8) : generator.bytes(3)
            }
            let text = String(decoding: bytes, as: UTF8.self)
            bytes.withRawSpan { span in
                let results = [
                    MemoryProbe.available(meminfo: span), MemoryProbe.total(meminfo: span),
                    MemoryProbe.limit(span), MemoryProbe.bytes(span), MemoryProbe.reclaimable(stat: span),
                    MemoryProbe.pressure(span),
                ]
                #expect(results.allSatisfy { ($0 ?? 0) >= 0 }, "\(text)")
            }
            _ = MemoryProbe.path(of: "memory", cgroup: text)
        }
    }
}
