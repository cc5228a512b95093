import Basics
import Glibc
import Support
import Testing

/// Quotas where the kernel stores through mappings without asking.
extension DirectoryQuotaTests {
    private static let mappingEngines = MountFixture.ledgerEngines.filter { $0 != "memory" }

    /// A file of 8 MiB that is one hole, open and mapped.
    private func mapped(_ path: Path) throws -> (fd: Int32, mapping: Mapping) {
        let fd = try Kernel.open(path, O_RDWR | O_CREAT)
        try Kernel.truncate(fd, 8 * mebibyte)
        return (fd, try Mapping(fd, bytes: 8 * mebibyte, shared: true))
    }

    private func store(_ mapping: Mapping?, pages: Range<Int>) {
        for page in pages { mapping?[page * 4096] = 7 }
    }

    /// Asks until the directory holds so much, for some seconds: a release comes after the close.
    private func settled(_ folder: Path, _ wanted: Int) throws -> Int {
        try Patience.settled(at: wanted) { try number(folder, "used_bytes") }
    }

    /// Rule: quotas.mappings
    @Test(
        "stores through a mapping bring a directory over its limit, and it cannot grow until they are freed",
        arguments: mappingEngines)
    func overLimit(engine: String) throws {
        try MountFixture.use(["--size", "64M", "--io", engine]) { mount in
            let (job, file) = (mount.path / "job", mount.path / "job" / "f")
            try Kernel.mkdir(job)
            try write(100, to: mount.path / "other")
            try quota("set", "\(job)", "--size", "4M", "--max-nodes", "100")
            let empty = try number(job, "used_bytes")
            var (fd, mapping): (Int32, Mapping?) = try mapped(file)
            let fresh = try number(job, "used_bytes")
            store(mapping, pages: 0..<1536)
            let blocks = try Kernel.stat(file).st_blocks
            let used = try number(job, "used_bytes")
            #expect(blocks == 1536 * 8 && used == fresh + 6 * mebibyte, "seen by who asks")

            #expect(throws: Errno.diskQuotaExceeded) { try Kernel.write(fd, [1], at: 7 * mebibyte) }
            #expect(throws: Errno.diskQuotaExceeded) { try Kernel.fallocate(fd, 0, 7 * mebibyte, 1) }
            #expect(throws: Errno.diskQuotaExceeded) { try Kernel.mkdir(job / "d") }
            #expect(throws: Errno.diskQuotaExceeded) { try Kernel.rename(mount.path / "other", job / "o") }
            let figures = try Kernel.statvfs(job)
            #expect(figures.f_blocks == 1024 && figures.f_bfree == 0 && figures.f_bavail == 0)
            try Kernel.write(fd, [9], at: 0)
            #expect(mapping?[0] == 9, "what is there can be written")
            try write(mebibyte, to: mount.path / "other")

            try Kernel.truncate(fd, 2 * mebibyte)
            let less = try number(job, "used_bytes")
            #expect(less == fresh + 2 * mebibyte)
            try Kernel.mkdir(job / "d")
            try Kernel.rmdir(job / "d")

            // A close sees it as well.
            try Kernel.truncate(fd, 8 * mebibyte)
            store(mapping, pages: 512..<1100)
            try Kernel.close(fd)
            let closed = try settled(job, fresh + 1100 * 4096)
            #expect(closed == fresh + 1100 * 4096)
            try Kernel.unlink(file)
            let held = try number(job, "used_bytes")
            #expect(held > 1100 * 4096, "what is mapped is there, and counts")
            mapping = nil
            let left = try settled(job, empty)
            #expect(left == empty)
        }
    }

    /// Rule: quotas.mappings
    @Test(
        "what was stored unseen counts where a quota is set, and where a file comes into one",
        arguments: mappingEngines)
    func unseen(engine: String) throws {
        try MountFixture.use(["--size", "64M", "--io", engine]) { mount in
            let (job, outside) = (mount.path / "job", mount.path / "outside")
            try Kernel.mkdir(job)
            let (inner, first) = try mapped(job / "f")
            store(first, pages: 0..<1536)
            let refused = try Program.run(
                [try MountFixture.program(), "quota", "set", "\(job)", "--size", "4M"], in: "/")
            #expect(refused.status == 1 && refused.output.contains("holds 6"), "\(refused)")
            try quota("set", "\(job)", "--size", "8M")
            let used = try number(job, "used_bytes")
            #expect(used > 6 * mebibyte && used < 7 * mebibyte)

            let (outer, second) = try mapped(outside)
            store(second, pages: 0..<1024)
            #expect(throws: Errno.diskQuotaExceeded) { try Kernel.rename(outside, job / "g") }
            let same = try number(job, "used_bytes")
            #expect(same == used)

            // Without a name, and refused: the bytes without a name are right all the same.
            try Kernel.unlink(job / "f")
            store(first, pages: 1536..<2048)
            #expect(throws: Errno.diskQuotaExceeded) { try Kernel.write(inner, [1], at: 9 * mebibyte) }
            let orphans = try mount.status().number("open_unlinked_bytes")
            #expect(orphans >= 8 * mebibyte)
            for fd in [inner, outer] { try Kernel.close(fd) }
            withExtendedLifetime((first, second)) {}
        }
    }

    /// Rule: quotas.engines
    @Test(
        "passthrough has no quotas, and with strict nothing can be set aside: both say so",
        arguments: MountFixture.kernelEngines)
    func engines(engine: String) throws {
        try MountFixture.use(["--size", "16M", "--io", engine]) { mount in
            let job = mount.path / "job"
            try Kernel.mkdir(job)
            let start = try mount.usedBytes()
            let isStrict = engine == "strict"
            let result = try Program.run(
                [try MountFixture.program(), "quota", "set", "\(job)", "--size", "4M"]
                    + (isStrict ? ["--reserve"] : []), in: "/")
            let words = isStrict ? "--reserve needs the engine memory" : "'--io memory' or '--io strict'"
            #expect(result.status == 1 && result.output.contains(words), "\(result)")
            let name = Path("trusted.dmemfs.quota.max_bytes")
            if !isStrict {
                #expect(throws: Errno.notSupportedOnSocket) {
                    try Kernel.setXattr(job, name, Array("4194304".utf8))
                }
            }
            #expect(throws: Errno(rawValue: ENODATA)) { try number(job, "max_bytes") }
            let used = try mount.usedBytes()
            #expect(used == start)
        }
    }
}
