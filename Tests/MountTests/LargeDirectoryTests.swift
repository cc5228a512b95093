import Basics
import Glibc
import Support
import Testing

@Suite("A large directory", .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"))
struct LargeDirectoryTests {
    /// 100,000, or as many as DMEMFS_NAMES says: a million take minutes.
    private static let count = Generator.number("DMEMFS_NAMES", usual: 100_000)

    /// Rule: listing.large
    @Test("each name is found and listed once, also behind a cookie, and what is removed leaves no memory")
    func names() throws {
        let count = Self.count
        try MountFixture.use(["--size", "2G"], seconds: 3000) { mount in
            let start = try mount.usedBytes()
            let folder = mount.path / "d"
            try Kernel.mkdir(folder)
            for index in 0..<count { try Kernel.mknod(folder / "name-\(index)", S_IFREG | 0o600) }
            let nodes = try mount.status().number("nodes")
            #expect(nodes == count + 2)

            let stream = try Kernel.Stream(folder)
            let listed = try stream.rest()
            #expect(listed.count == count)
            let numbers = Set(listed.map(\.number))
            let names = Set(listed.map(\.name))
            #expect(numbers.count == count && names.count == count)
            for index in stride(from: 0, to: count, by: 997) {
                let found = names.contains(Array("name-\(index)".utf8))
                #expect(found)
                let entry = listed[index]
                let number = try Kernel.stat(folder / entry.name).st_ino
                #expect(number == entry.number)
            }
            for index in [0, count / 3, count - 2] {
                stream.seek(listed[index].cookie)
                let next = try stream.next()?.name
                #expect(next == listed[index + 1].name)
            }
            stream.close()

            for entry in listed { try Kernel.unlink(folder / entry.name) }
            let rest = try Kernel.list(folder).count
            #expect(rest == 0)
            try Kernel.rmdir(folder)
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }
}
