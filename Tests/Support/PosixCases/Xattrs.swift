import Basics
import CLinux
import Glibc

extension PosixCases {
    static let xattrs: [PosixCase] = [
        PosixCase("xattrs.values", "an xattr is set, read, listed, replaced and removed") { s in
            try s.make(s["f"])
            s.equal(try Kernel.xattrs(s["f"]).filter { $0.hasPrefix("user.") }, [])
            try Kernel.setXattr(s["f"], "user.b", [1, 2, 3])
            try Kernel.setXattr(s["f"], "user.a", [])
            s.equal(try Kernel.xattr(s["f"], "user.b"), [1, 2, 3])
            s.equal(try Kernel.xattr(s["f"], "user.a"), [])
            s.equal(try Kernel.xattrs(s["f"]).filter { $0.hasPrefix("user.") }, ["user.a", "user.b"])
            try Kernel.setXattr(s["f"], "user.b", [0, 255, 0])
            s.equal(try Kernel.xattr(s["f"], "user.b"), [0, 255, 0])
            try Kernel.removeXattr(s["f"], "user.b")
            s.fails(ENODATA) { try Kernel.xattr(s["f"], "user.b") }
            s.fails(ENODATA) { try Kernel.removeXattr(s["f"], "user.b") }
            s.equal(try Kernel.xattrs(s["f"]).filter { $0.hasPrefix("user.") }, ["user.a"])
        },
        PosixCase("xattrs.values", "a file may have a hundred xattrs") { s in
            try s.make(s["f"])
            for index in 0..<100 { try Kernel.setXattr(s["f"], Path("user.n\(index)"), [UInt8(index)]) }
            s.equal(try Kernel.xattrs(s["f"]).filter { $0.hasPrefix("user.") }.count, 100)
            for index in 0..<100 { s.equal(try Kernel.xattr(s["f"], Path("user.n\(index)")), [UInt8(index)]) }
            for index in stride(from: 0, to: 100, by: 2) {
                try Kernel.removeXattr(s["f"], Path("user.n\(index)"))
            }
            s.equal(try Kernel.xattrs(s["f"]).filter { $0.hasPrefix("user.") }.count, 50)
        },
        PosixCase("xattrs.values", "xattrs stay with the file through rename, link, unlink and truncation") {
            s in
            try s.make(s["f"], "abc")
            let fd = try s.open(s["f"], O_RDWR)
            try Kernel.setXattr(s["f"], "user.a", [1])
            try Kernel.rename(s["f"], s["g"])
            try Kernel.link(s["g"], s["h"])
            try Kernel.unlink(s["g"])
            try Kernel.truncate(fd, 0)
            s.equal(try Kernel.xattr(s["h"], "user.a"), [1])
            try s.make(s["f"])
            s.fails(ENODATA, "a new file has none") { try Kernel.xattr(s["f"], "user.a") }
        },
        PosixCase("xattrs.flags", "XATTR_CREATE refuses what is there, XATTR_REPLACE what is not") { s in
            try s.make(s["f"])
            s.fails(ENODATA) { try Kernel.setXattr(s["f"], "user.a", [1], flags: linux_xattr_replace) }
            try Kernel.setXattr(s["f"], "user.a", [1], flags: linux_xattr_create)
            s.fails(EEXIST) { try Kernel.setXattr(s["f"], "user.a", [2], flags: linux_xattr_create) }
            s.equal(try Kernel.xattr(s["f"], "user.a"), [1])
            for flags in [linux_xattr_create | linux_xattr_replace, 4] {
                s.fails(anyOf: [EINVAL, EEXIST]) { try Kernel.setXattr(s["f"], "user.a", [2], flags: flags) }
            }
            s.equal(try Kernel.xattr(s["f"], "user.a"), [1])
            try Kernel.setXattr(s["f"], "user.a", [3], flags: linux_xattr_replace)
            s.equal(try Kernel.xattr(s["f"], "user.a"), [3])
        },
        PosixCase("xattrs.room", "a buffer of no size asks for the size, one too short is ERANGE") { s in
            try s.make(s["f"])
            try Kernel.setXattr(s["f"], "user.name", [UInt8](repeating: 1, count: 100))
            s.equal(try Kernel.xattrSize(s["f"], "user.name"), 100)
            s.fails(ERANGE) { try Kernel.xattr(s["f"], "user.name", capacity: 99) }
            s.equal(try Kernel.xattr(s["f"], "user.name", capacity: 100).count, 100)
            let size = try Kernel.xattrsSize(s["f"])
            s.that(size >= 10, "the list has at least the name and its NUL")
            s.fails(ERANGE) { try Kernel.xattrs(s["f"], capacity: size - 1) }
            s.equal(try Kernel.xattrs(s["f"], capacity: size).filter { $0.hasPrefix("user.") }, ["user.name"])
        },
        PosixCase("xattrs.sizes", "a value of 64 KiB is taken, one byte more is E2BIG") { s in
            try s.make(s["f"])
            let value = (0..<65536).map { UInt8(truncatingIfNeeded: $0) }
            try Kernel.setXattr(s["f"], "user.big", value)
            s.that(try Kernel.xattr(s["f"], "user.big") == value, "it comes back whole")
            s.fails(E2BIG) { try Kernel.setXattr(s["f"], "user.big", value + [0]) }
            s.that(try Kernel.xattr(s["f"], "user.big") == value, "it stays")
        },
        PosixCase("xattrs.sizes", "a name of 255 bytes is taken, one of 256 is ERANGE, an empty one too") {
            s in
            try s.make(s["f"])
            let longest = "user." + String(repeating: "n", count: 250)
            try Kernel.setXattr(s["f"], Path(longest), [1])
            s.equal(try Kernel.xattr(s["f"], Path(longest)), [1])
            s.fails(ERANGE) { try Kernel.setXattr(s["f"], Path(longest + "n"), [1]) }
            s.fails(ERANGE) { try Kernel.setXattr(s["f"], "", [1]) }
            s.fails(anyOf: [EINVAL, EOPNOTSUPP]) { try Kernel.setXattr(s["f"], "user.", [1]) }
        },
        PosixCase("xattrs.spaces", "a namespace that nobody knows is EOPNOTSUPP") { s in
            try s.make(s["f"])
            s.fails(EOPNOTSUPP) { try Kernel.setXattr(s["f"], "nonsense.a", [1]) }
            s.fails(EOPNOTSUPP) { try Kernel.setXattr(s["f"], "plain", [1]) }
            s.fails(anyOf: [EOPNOTSUPP, ENODATA]) { try Kernel.xattr(s["f"], "nonsense.a") }
        },
        PosixCase("xattrs.spaces", "user xattrs belong to files and directories only") { s in
            try Kernel.mkdir(s["d"])
            try Kernel.symlink("x", s["l"])
            try Kernel.mknod(s["p"], S_IFIFO | 0o600)
            try Kernel.setXattr(s["d"], "user.a", [1])
            s.equal(try Kernel.xattr(s["d"], "user.a"), [1])
            s.fails(EPERM) { try Kernel.setXattr(s["l"], "user.a", [1]) }
            s.fails(EPERM) { try Kernel.setXattr(s["p"], "user.a", [1]) }
        },
        PosixCase(
            "xattrs.users", "trusted xattrs are root's, and others do not see them listed", needsRoot: true
        ) { s in
            try s.make(s["f"])
            try Kernel.chmod(s["f"], 0o666)
            try Kernel.setXattr(s["f"], "trusted.a", [1])
            try Kernel.setXattr(s["f"], "user.a", [2])
            s.that(try Kernel.xattrs(s["f"]).contains("trusted.a"), "root sees it")
            try Threads.become(1234, 1234) {
                s.that(try !Kernel.xattrs(s["f"]).contains("trusted.a"), "others do not")
                s.that(try Kernel.xattrs(s["f"]).contains("user.a"), "they see theirs")
                s.fails(EPERM) { try Kernel.setXattr(s["f"], "trusted.a", [3]) }
                s.fails(anyOf: [ENODATA, EPERM]) { try Kernel.xattr(s["f"], "trusted.a") }
            }
            s.equal(try Kernel.xattr(s["f"], "trusted.a"), [1])
        },
        PosixCase("xattrs.users", "security xattrs need privilege to set, and none to read", needsRoot: true)
        { s in
            try s.make(s["f"])
            try Kernel.chmod(s["f"], 0o666)
            try Kernel.setXattr(s["f"], "security.test", [1])
            try Threads.become(1234, 1234) {
                s.equal(try Kernel.xattr(s["f"], "security.test"), [1])
                s.fails(EPERM) { try Kernel.setXattr(s["f"], "security.test", [2]) }
            }
        },
        PosixCase("xattrs.users", "a symlink may have trusted xattrs of its own", needsRoot: true) { s in
            try s.make(s["f"])
            try Kernel.symlink("f", s["l"])
            try Kernel.setXattr(s["l"], "trusted.a", [1])
            s.equal(try Kernel.xattr(s["l"], "trusted.a"), [1])
            s.fails(ENODATA, "the target has none") { try Kernel.xattr(s["f"], "trusted.a") }
        },
        PosixCase("xattrs.users", "user xattrs follow the mode bits", needsRoot: true) { s in
            try s.make(s["f"])
            try Kernel.setXattr(s["f"], "user.a", [1])
            try Kernel.chmod(s["f"], 0o604)
            try Threads.become(1234, 1234) {
                s.equal(try Kernel.xattr(s["f"], "user.a"), [1])
                s.fails(EACCES) { try Kernel.setXattr(s["f"], "user.a", [2]) }
                s.fails(EACCES) { try Kernel.removeXattr(s["f"], "user.a") }
            }
            try Kernel.chmod(s["f"], 0o602)
            try Threads.become(1234, 1234) { s.fails(EACCES) { try Kernel.xattr(s["f"], "user.a") } }
        },
    ]
}
