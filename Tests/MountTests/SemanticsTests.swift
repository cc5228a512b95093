import Basics
import CLinux
import Glibc
import Support
import Testing

/// Rules of Semantics.md that need a mount of their own.
@Suite("Rules", .serialized, .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"))
struct SemanticsTests {
    private let mebibyte = 1 << 20

    /// Takes all that a mount has left: what is too little for a piece of a file is enough for an xattr.
    private func fill(_ mount: MountFixture) throws {
        let file = mount.path / "filler"
        let fd = try Kernel.open(file, O_WRONLY | O_CREAT | O_APPEND)
        defer { _ = close(fd) }
        for size in [mebibyte, 64 << 10, 4096, 256, 1] {
            let piece = [UInt8](repeating: 1, count: size)
            do {
                while true { try Kernel.write(fd, piece) }
            } catch Errno.noSpace {}
        }
        do {
            for index in 0..<mebibyte { try Kernel.setXattr(file, Path("user.\(index)"), []) }
        } catch Errno.noSpace {}
    }

    private func content(of path: Path) throws -> [UInt8] {
        let fd = try Kernel.open(path, O_RDONLY)
        defer { _ = close(fd) }
        return try Kernel.read(fd, 1000)
    }

    /// Rule: links.charged
    @Test("the bytes of a file with many names are charged once, and come free with the last")
    func hardLinks() throws {
        try MountFixture.use(["--size", "16M"]) { mount in
            let start = try mount.usedBytes()
            let fd = try Kernel.open(mount.path / "f", O_WRONLY | O_CREAT)
            try Kernel.write(fd, [UInt8](repeating: 1, count: 4 * mebibyte))
            try Kernel.close(fd)
            let one = try mount.usedBytes()
            let nodes = try mount.status().number("nodes")
            for index in 0..<100 { try Kernel.link(mount.path / "f", mount.path / "g\(index)") }
            let many = try mount.usedBytes()
            let nodesAfter = try mount.status().number("nodes")
            #expect(many - one < 16_384, "a hundred names of a few bytes")
            #expect(nodesAfter == nodes)
            try Kernel.unlink(mount.path / "f")
            for index in 0..<99 { try Kernel.unlink(mount.path / "g\(index)") }
            let last = try mount.usedBytes()
            #expect(last >= start + 4 * mebibyte)
            try Kernel.unlink(mount.path / "g99")
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: special.mount
    @Test("a device can be opened where root has asked for dev, and nowhere else")
    func devices() throws {
        guard geteuid() == 0 else { return print("SKIPPED: only root makes devices") }
        for options in [[], ["-o", "dev"]] {
            try MountFixture.use(["--size", "4M"] + options) { mount in
                let zero = mount.path / "zero"
                try Kernel.mknod(zero, S_IFCHR | 0o600, device: 0x105)
                if options.isEmpty {
                    #expect(throws: Errno.permissionDenied) { try Kernel.open(zero, O_RDONLY) }
                } else {
                    let bytes = try content(of: zero)
                    #expect(bytes == [UInt8](repeating: 0, count: 1000))
                }
            }
        }
    }

    /// Rule: listing.order
    @Test("two mounts list the same names in different orders")
    func order() throws {
        var orders: [[String]] = []
        for _ in 0..<2 {
            try MountFixture.use(["--size", "4M"]) { mount in
                for index in 0..<64 { try Kernel.mkdir(mount.path / "d\(index)") }
                orders.append(try Kernel.list(mount.path).map(\.text))
            }
        }
        #expect(orders[0] != orders[1])
        #expect(orders[0].sorted() == orders[1].sorted())
    }

    /// Rule: mapping.sequential
    @Test("sequential storage has private mappings and no shared writable one")
    func sequentialMapping() throws {
        try MountFixture.use(["--size", "4M", "--storage", "sequential"]) { mount in
            let fd = try Kernel.open(mount.path / "f", O_RDWR | O_CREAT)
            defer { _ = close(fd) }
            try Kernel.write(fd, Array("abc".utf8))
            #expect(throws: Errno(rawValue: ENODEV)) { try Mapping(fd, bytes: 4096, shared: true) }
            let mapping = try Mapping(fd, bytes: 4096, shared: false)
            let bytes = mapping.bytes(0..<3)
            #expect(bytes == Array("abc".utf8))
        }
    }

    /// Rule: acl.off
    @Test("without the option, or with noacl behind it, no ACL can be set", arguments: ["", "acl,noacl"])
    func withoutACL(option: String) throws {
        try MountFixture.use(["--size", "4M"] + (option.isEmpty ? [] : ["-o", option])) { mount in
            let file = mount.path / "f"
            try Kernel.close(try Kernel.open(file, O_WRONLY | O_CREAT))
            let list = AccessList.letting(1234, 6).bytes
            #expect(throws: Errno.notSupportedOnSocket) {
                try Kernel.setXattr(file, AccessList.access, list)
            }
            let mode = try Kernel.stat(file).permissions
            #expect(mode == 0o644)
        }
    }

    /// Rule: acl.charged
    @Test("ACLs are charged, a node whose ACL does not fit is not made, and chmod works when full")
    func chargedACL() throws {
        try MountFixture.use(["--size", "4M", "-o", "acl"]) { mount in
            let start = try mount.usedBytes()
            let folder = mount.path / "d"
            try Kernel.mkdir(folder)
            let bare = try mount.usedBytes()
            var list = AccessList(owner: 6, group: 4, mask: 6, other: 0)
            list.users = (1...400).map { ($0, 6) }
            try Kernel.setXattr(folder, AccessList.inherited, list.bytes)
            let set = try mount.usedBytes()
            #expect(set >= bare + list.bytes.count)
            var made = 0
            #expect(throws: Errno.noSpace) {
                while true {
                    try Kernel.close(try Kernel.open(folder / "f\(made)", O_WRONLY | O_CREAT, 0o660))
                    made += 1
                }
            }
            #expect(made > 500 && made < 4 * mebibyte / list.bytes.count)
            try fill(mount)
            let full = try mount.usedBytes()
            #expect(full > 4 * mebibyte - 100)
            let names = try Kernel.list(folder).count
            #expect(names == made, "what was refused left no name")
            #expect(throws: Errno.noSpace) { try Kernel.mkdir(folder / "x") }
            #expect(throws: Errno.noSpace) {
                try Kernel.setXattr(mount.path / "filler", AccessList.access, list.bytes)
            }
            try Kernel.chmod(folder / "f0", 0o640)
            list.mask = 4
            let changed = try Kernel.xattr(folder / "f0", AccessList.access)
            let after = try mount.usedBytes()
            #expect(changed == list.bytes)
            #expect(after == full)
            let removed = try Program.run(["rm", "-rf", "d", "filler"], in: mount.path)
            #expect(removed.status == 0)
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    /// Rule: limits.full, limits.bytes
    @Test("on a full mount all works that needs nothing, and the rest is ENOSPC")
    func full() throws {
        try MountFixture.use(["--size", "4M"]) { mount in
            let (a, b) = (mount.path / "a", mount.path / "b")
            for path in [a, b] {
                let fd = try Kernel.open(path, O_WRONLY | O_CREAT)
                try Kernel.write(fd, Array("0123456789".utf8))
                try Kernel.close(fd)
            }
            try fill(mount)
            let attempts: [(String, () throws -> Void)] = [
                ("open", { try Kernel.close(try Kernel.open(mount.path / "new", O_WRONLY | O_CREAT)) }),
                ("mkdir", { try Kernel.mkdir(mount.path / "new") }),
                ("symlink", { try Kernel.symlink("x", mount.path / "new") }),
                ("O_TMPFILE", { try Kernel.close(try Kernel.open(mount.path, linux_o_tmpfile | O_RDWR)) }),
                ("setxattr", { try Kernel.setXattr(a, "user.a", [UInt8](repeating: 1, count: 5000)) }),
            ]
            for (name, attempt) in attempts { #expect(throws: Errno.noSpace, "\(name)") { try attempt() } }
            for _ in 0..<300 {
                let bytes = try content(of: a)
                #expect(bytes == Array("0123456789".utf8))
            }
            let fd = try Kernel.open(a, O_RDWR)
            try Kernel.write(fd, Array("XY".utf8), at: 4)
            try Kernel.truncate(fd, 8)
            try Kernel.close(fd)
            try Kernel.chmod(a, 0o600)
            try Kernel.setTimes(a, accessed: Moment(5).time, modified: Moment(6).time)
            try Kernel.rename(a, b)
            let bytes = try content(of: b)
            #expect(bytes == Array("0123XY67".utf8))
            try Kernel.unlink(b)
            try Kernel.unlink(mount.path / "filler")
        }
    }

    /// Rule: limits.whole
    @Test("of a write that does not fit the whole requests are taken, and a smaller write takes the rest")
    func wholeRequests() throws {
        try MountFixture.use(["--size", "8M"]) { mount in
            let fd = try Kernel.open(mount.path / "f", O_WRONLY | O_CREAT)
            defer { _ = close(fd) }
            let bytes = [UInt8](repeating: 1, count: 16 * mebibyte)
            let taken = try Kernel.write(fd, bytes)
            #expect(taken == 7 * mebibyte, "metadata takes a part of the eighth")
            #expect(throws: Errno.noSpace) { try Kernel.write(fd, bytes) }
            let size = try Kernel.stat(fd).st_size
            #expect(size == taken)
            let rest = try Kernel.write(fd, Array(bytes[..<(mebibyte / 2)]))
            #expect(rest == mebibyte / 2)
        }
    }

    @Test("a mount that is made read-only takes no changes, and can be made writable")
    func readOnly() throws {
        try MountFixture.use(["--size", "8M", "-o", "ro"]) { mount in
            #expect(throws: Errno.readOnlyFileSystem) { try Kernel.mkdir(mount.path / "d") }
            _ = try Kernel.list(mount.path)
            guard geteuid() == 0 else { return }
            let flags = "remount,rw,nosuid,nodev"
            let result = try Program.run(["mount", "-i", "-o", flags, "\(mount.path)"], in: "/", seconds: 20)
            #expect(result.status == 0, "\(result.output)")
            try Kernel.mkdir(mount.path / "d")
        }
    }
}
