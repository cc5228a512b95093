import Basics
import CLinux
import Glibc
import Support
import Synchronization
import Testing

@Suite(
    "Quotas of directories on a mount", .serialized,
    .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"))
struct DirectoryQuotaTests {
    let mebibyte = 1 << 20

    // MARK: - Words for what is done

    @discardableResult
    func quota(_ words: String...) throws -> String {
        let result = try Program.run([try MountFixture.program(), "quota"] + words, in: "/", seconds: 60)
        try #require(result.status == 0, "\(words): \(result.output)")
        return result.output
    }

    func write(_ count: Int, to path: Path) throws {
        let fd = try Kernel.open(path, O_WRONLY | O_CREAT | O_APPEND)
        defer { _ = close(fd) }
        var left = count
        while left > 0 {
            left -= try Kernel.write(fd, [UInt8](repeating: 7, count: min(left, mebibyte)))
        }
    }

    func number(_ path: Path, _ name: String) throws -> Int {
        let text = String(decoding: try Kernel.xattr(path, Path("user.dmemfs.quota.\(name)")), as: UTF8.self)
        return try #require(Int(text))
    }

    // MARK: - Many writers

    /// What many threads do in their directories until they are told to stop, and which errors they meet.
    private final class Crowd: Sendable {
        let folders: [Path]
        let isOver = Atomic<Bool>(false)
        let errors: [Atomic32]

        final class Atomic32: Sendable {
            let value = Atomic<Int>(0)
        }

        init(_ folders: [Path]) {
            self.folders = folders
            errors = (0..<200).map { _ in Atomic32() }
        }

        func count(_ error: Errno) -> Int { errors[Int(error.rawValue)].value.load(ordering: .relaxed) }

        private func noting(_ body: () throws -> Void) {
            do {
                try body()
            } catch let error as Errno {
                errors[Int(error.rawValue)].value.wrappingAdd(1, ordering: .relaxed)
            } catch {
                errors[0].value.wrappingAdd(1, ordering: .relaxed)
            }
        }

        /// Makes, fills, moves, links and removes files, so that its directory is full most of the time.
        func run(_ thread: Int, roaming: Bool) {
            var random = Generator(seed: UInt64(thread) + 1)
            let home = folders[thread % folders.count]
            let bytes = [UInt8](repeating: 5, count: 256 << 10)
            var round = 0
            while !isOver.load(ordering: .relaxed) {
                let file = home / "t\(thread)-\(random.below(40))"
                round += 1
                switch random.below(roaming ? 12 : 9) {
                case ..<6:
                    noting {
                        let fd = try Kernel.open(file, O_WRONLY | O_CREAT | O_APPEND)
                        defer { _ = close(fd) }
                        try Kernel.write(fd, bytes)
                    }
                case ..<8: noting { try Kernel.unlink(file) }
                case ..<9: noting { try Kernel.truncate(file, random.below(100_000)) }
                case ..<11:
                    let target = random.pick(folders) / "t\(thread)-\(random.below(40))"
                    noting { try Kernel.rename(file, target) }
                default:
                    noting { try Kernel.link(file, random.pick(folders) / "l\(thread)-\(round)") }
                    noting { try Kernel.unlink(home / "l\(thread)-\(round)") }
                }
            }
        }
    }

    /// Lets eight writers for each directory work, and looks at every level all the time.
    private func crowd(
        in folders: [Path], on mount: MountFixture, seconds: Int, roaming: Bool = false
    ) throws -> Crowd {
        let crowd = Crowd(folders)
        let threads = (0..<folders.count * 8).map { thread in
            Threads.detach { crowd.run(thread, roaming: roaming) }
        }
        defer {
            crowd.isOver.store(true, ordering: .relaxed)
            for thread in threads { thread.join() }
        }
        let deadline = time(nil) + seconds
        var samples = 0
        while time(nil) < deadline {
            for folder in folders {
                let (used, limit) = (try number(folder, "used_bytes"), try number(folder, "max_bytes"))
                #expect(used <= limit, "\(folder)")
            }
            samples += 1
            if samples % 20 == 1 {
                let status = try mount.status()
                let (used, limit) = (try status.number("used_bytes"), try status.number("limit_bytes"))
                #expect(used <= limit)
            }
        }
        #expect(samples > 20)
        return crowd
    }

    /// How long each crowd works: DMEMFS_QUOTA_SECONDS, or a few seconds.
    private static let seconds = unsafe getenv("DMEMFS_QUOTA_SECONDS").flatMap {
        unsafe Int(String(cString: $0))
    }

    private func empty(_ folders: [Path]) throws {
        for folder in folders {
            for entry in try Kernel.list(folder) where entry.type != DT_DIR {
                try Kernel.unlink(folder / entry.name)
            }
        }
    }

    @Test(
        "four directories of 32 MiB on 100 MiB, eight writers each: each level refuses what is its own",
        arguments: MountFixture.ledgerEngines)
    func fourDirectories(engine: String) throws {
        try MountFixture.use(["--size", "100M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let folders = (0..<4).map { mount.path / "job\($0)" }
            for folder in folders {
                try Kernel.mkdir(folder)
                try quota("set", "\(folder)", "--size", "32M")
            }
            let fresh = try folders.map { try number($0, "used_bytes") }
            let made = try mount.usedBytes()
            // Three of them fit: nobody meets the mount's limit.
            let few = try crowd(in: Array(folders.prefix(3)), on: mount, seconds: Self.seconds ?? 3)
            #expect(few.count(.diskQuotaExceeded) > 0 && few.count(.noSpace) == 0)
            let all = try crowd(in: folders, on: mount, seconds: Self.seconds ?? 4, roaming: true)
            #expect(all.count(.noSpace) > 0 && all.count(.improperLink) > 0)
            for error in 1..<200 where all.errors[error].value.load(ordering: .relaxed) > 0 {
                let known: [Errno] = [.noSpace, .diskQuotaExceeded, .improperLink, .noSuchFileOrDirectory]
                #expect(known.contains(Errno(rawValue: Int32(error))), "errno \(error)")
            }
            try empty(folders)
            let left = try mount.settledUsage(made)
            let end = try folders.map { try number($0, "used_bytes") }
            #expect(left == made && end == fresh)
            for folder in folders { try quota("rm", "\(folder)") }
            for folder in folders { try Kernel.rmdir(folder) }
            let rest = try mount.settledUsage(start)
            #expect(rest == start)
        }
    }

    @Test(
        "three levels deep, with files that move between them: each level holds",
        arguments: MountFixture.ledgerEngines)
    func nested(engine: String) throws {
        try MountFixture.use(["--size", "64M", "--io", engine]) { mount in
            let start = try mount.usedBytes()
            let outer = mount.path / "a"
            let folders = [outer, outer / "b", outer / "b" / "c"]
            for (folder, size) in zip(folders, ["24M", "16M", "8M"]) {
                try Kernel.mkdir(folder)
                try quota("set", "\(folder)", "--size", size, "--max-nodes", "2k")
            }
            let made = try mount.usedBytes()
            let met = try crowd(in: folders, on: mount, seconds: Self.seconds ?? 4, roaming: true)
            #expect(met.count(.diskQuotaExceeded) > 0 && met.count(.noSpace) == 0)
            try empty(folders)
            let left = try mount.settledUsage(made)
            #expect(left == made)
            // Each goes with its directory.
            for folder in folders.reversed() { try Kernel.rmdir(folder) }
            let rest = try mount.settledUsage(start)
            let list = try quota("list", "\(mount.path)")
            #expect(rest == start && list.isEmpty)
        }
    }

    // MARK: - What is shown

    private func shown(_ path: Path, _ fields: String) throws -> [Int] {
        let result = try Program.run(["df", "-B1", "--output=\(fields)", "\(path)"], in: "/")
        let line = result.output.split(separator: "\n").last ?? ""
        return line.split(separator: " ").compactMap { Int($0) }
    }

    /// Rule: quotas.statfs
    @Test(
        "df and df -i show the limit and the use of the directory inside, and the mount's outside",
        arguments: MountFixture.ledgerEngines)
    func df(engine: String) throws {
        try MountFixture.use(["--size", "64M", "--max-nodes", "1000", "--io", engine]) { mount in
            let (job, inner) = (mount.path / "job", mount.path / "job" / "inner")
            try Kernel.mkdir(job)
            try Kernel.mkdir(inner)
            try quota("set", "\(job)", "--size", "16M", "--max-nodes", "100")
            try quota("set", "\(inner)", "--size", "12M")
            try write(10 * mebibyte, to: job / "f")
            let fields = "size,used,avail"
            let (outside, within, nested) = (
                try shown(mount.path, fields), try shown(job / "f", fields), try shown(inner, fields)
            )
            #expect(outside[0] == 64 << 20 && outside[1] > 10 << 20 && outside[1] < 11 << 20)
            #expect(within[0] == 16 << 20 && within[1] > 10 << 20 && within[1] < 11 << 20)
            // What can be written is a little less than what is unused: a file has an index.
            let unused = within[0] - within[1]
            #expect(within[2] <= unused && within[2] > unused - (64 << 10))
            // Its own limit and use; what can be written is what the outer one leaves.
            #expect(nested[0] == 12 << 20 && nested[1] <= 4096 && nested[2] == within[2])
            let inodes = "itotal,iused,iavail"
            let (all, few, fewer) = (
                try shown(mount.path, inodes), try shown(job, inodes), try shown(inner, inodes)
            )
            #expect(all == [1000, 4, 996] && few == [100, 3, 97] && fewer == [98, 1, 97])
            // A program that asks first, and writes what it was told, meets no refusal; a page more does.
            let figures = try Kernel.statvfs(inner)
            let bytes = Int(figures.f_bavail * figures.f_frsize) - (64 << 10)
            try write(bytes, to: inner / "g")
            #expect(throws: Errno.diskQuotaExceeded) { try write(128 << 10, to: inner / "h") }
        }
    }

    /// Rule: quotas.xattrs
    @Test("xattrs tell the quota and set it for root alone, and are not listed")
    func attributes() throws {
        try MountFixture.use(["--size", "64M"]) { mount in
            let job = mount.path / "job"
            try Kernel.mkdir(job, 0o777)
            try Kernel.chmod(job, 0o777)
            let (size, nodes) = (
                Path("trusted.dmemfs.quota.max_bytes"), Path("trusted.dmemfs.quota.max_nodes")
            )
            try Kernel.setXattr(job, size, Array("8388608".utf8))
            try Kernel.setXattr(job, nodes, Array("10".utf8))
            let told = try ["max_bytes", "max_nodes", "used_nodes"].map { try number(job, $0) }
            #expect(told == [8 << 20, 10, 1])
            let listed = try Kernel.xattrs(job)
            #expect(listed.isEmpty)
            for value in ["", "x", "0", "-1", "1e3", "99999999999999999999"] {
                #expect(throws: Errno.invalidArgument, "\(value)") {
                    try Kernel.setXattr(job, size, Array(value.utf8))
                }
            }
            #expect(throws: Errno.diskQuotaExceeded) { try Kernel.setXattr(job, size, Array("1".utf8)) }
            for name in ["max_bytes", "used_bytes", "else"] {
                let name = Path("user.dmemfs.quota.\(name)")
                #expect(throws: Errno.notPermitted) { try Kernel.setXattr(job, name, Array("1".utf8)) }
                #expect(throws: Errno.notPermitted) { try Kernel.removeXattr(job, name) }
            }
            try Threads.become(65_534, 65_534) {
                for name in [size, nodes, Path("user.dmemfs.quota.max_bytes")] {
                    #expect(throws: Errno.notPermitted) {
                        try Kernel.setXattr(job, name, Array("99999999".utf8))
                    }
                    #expect(throws: Errno.notPermitted) { try Kernel.removeXattr(job, name) }
                }
                let told = try number(job, "max_bytes")
                #expect(told == 8 << 20)
            }
            try Kernel.removeXattr(job, nodes)
            #expect(throws: Errno(rawValue: ENODATA)) { try number(job, "max_nodes") }
            let left = try number(job, "max_bytes")
            #expect(left == 8 << 20)
            try Kernel.removeXattr(job, size)
            #expect(throws: Errno(rawValue: ENODATA)) { try number(job, "used_bytes") }
            let copied = try Program.run(["cp", "-a", "\(job)", "\(mount.path / "copy")"], in: "/")
            #expect(copied.status == 0, "\(copied.output)")
        }
    }

    // MARK: - Borders

    /// Rule: quotas.borders
    @Test(
        "files cross a border with their charge; directories, links and exchanges give EXDEV, and mv copes",
        arguments: MountFixture.ledgerEngines)
    func borders(engine: String) throws {
        try MountFixture.use(["--size", "64M", "--io", engine]) { mount in
            let (job, outside) = (mount.path / "job", mount.path / "outside")
            for folder in [job, outside, job / "d"] { try Kernel.mkdir(folder) }
            try quota("set", "\(job)", "--size", "4M")
            try write(3 * mebibyte, to: outside / "f")
            try write(3 * mebibyte, to: outside / "g")
            try Kernel.rename(outside / "f", job / "f")
            let used = try number(job, "used_bytes")
            #expect(used > 3 << 20)
            #expect(throws: Errno.diskQuotaExceeded) { try Kernel.rename(outside / "g", job / "g") }
            let (still, same) = (try Kernel.stat(outside / "g").st_size, try number(job, "used_bytes"))
            #expect(still == 3 << 20 && same == used)
            try Kernel.rename(job / "f", outside / "f")
            let back = try number(job, "used_bytes")
            #expect(back < 1 << 20)

            #expect(throws: Errno.improperLink) { try Kernel.rename(job / "d", outside / "d") }
            #expect(throws: Errno.improperLink) { try Kernel.link(outside / "f", job / "f") }
            try write(100, to: job / "x")
            #expect(throws: Errno.improperLink) {
                try Kernel.rename(outside / "f", job / "x", flags: linux_rename_exchange)
            }
            try Kernel.link(outside / "f", outside / "f2")
            #expect(throws: Errno.improperLink) { try Kernel.rename(outside / "f", job / "f") }
            try Kernel.rename(job / "d", job / "e")
            try write(1000, to: job / "e" / "inside")
            let moved = try Program.run(["mv", "\(job / "e")", "\(outside / "e")"], in: "/")
            let size = try Kernel.stat(outside / "e" / "inside").st_size
            #expect(moved.status == 0 && size == 1000, "\(moved.output)")

            let fd = try Kernel.open(outside, linux_o_tmpfile | O_RDWR)
            defer { _ = close(fd) }
            try Kernel.write(fd, [UInt8](repeating: 1, count: mebibyte))
            try Kernel.linkat(AT_FDCWD, Path("/proc/self/fd/\(fd)"), job / "t", flags: AT_SYMLINK_FOLLOW)
            let linked = try number(job, "used_bytes")
            #expect(linked > 1 << 20 && linked < 1100 << 10)
        }
    }
}
