import Basics
import Glibc
import Support
import Testing

@Suite("The POSIX cases", .serialized)
struct PosixTests {
    @Test("every case passes on a plain tmpfs")
    func plain() throws {
        let place = try PlainDirectory()
        defer { place.remove() }
        Self.report(PosixCases.all, below: place.path)
        if place.takesAccessLists {
            Self.report(PosixCases.accessLists, below: place.path)
        } else {
            print("SKIPPED: the ACL cases on tmpfs, which this kernel has none for")
        }
    }

    @Test("a violated case says where and what, and a broken one does not pass")
    func violationsAreSeen() throws {
        let place = try PlainDirectory()
        defer { place.remove() }
        let wrong = PosixCase("none", "wrong on purpose") { s in
            s.equal(1, 2, "numbers")
            s.fails(ENOENT) { try Kernel.mkdir(s["d"]) }
            s.fails(ENOENT) { try Kernel.mkdir(s["d"]) }
            _ = try Kernel.open(s["none"], O_RDONLY)
        }
        let violations = wrong.run(below: place.path, index: 0)
        #expect(violations.count == 4)
        #expect(violations.first?.contains("PosixTests.swift:") == true)
        #expect(violations.first?.contains("found 1, wanted 2") == true)
    }

    @Test(
        "every case passes on a mount", .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"),
        arguments: [["--storage", "auto"], ["--storage", "random_access"], ["--acl"]]
            + MountFixture.kernelEngines.map { ["--io", $0] })
    func mounted(options: [String]) throws {
        try MountFixture.use(["--size", "1G"] + options) { mount in
            let start = try mount.usedBytes()
            let lists = options.contains("--acl") ? PosixCases.accessLists : []
            // That rule is of files that the kernel keeps in its own cache.
            let isCached = !options.contains("--io")
            let beyond = PosixCases.beyondTmpfs.filter { isCached || $0.rule != "sizes.cached" }
            Self.report(PosixCases.all + beyond + lists, below: mount.path)
            let left = try mount.settledUsage(start)
            #expect(left == start, "everything was removed")
        }
    }

    /// Runs the cases one after the other and records each that was violated.
    static func report(_ cases: [PosixCase], below place: Path) {
        for (index, item) in cases.enumerated() {
            if item.needsRoot && geteuid() != 0 { continue }
            let violations = item.run(below: place, index: index)
            if violations.isEmpty { continue }
            let shown = violations.prefix(6).joined(separator: "\n    ")
            Issue.record("\(item): \(violations.count) violations\n    \(shown)")
        }
    }
}
