import Basics
import Glibc

extension PosixCases {
    static let names: [PosixCase] = [
        PosixCase("names.length", "a name of one byte and a name of 255 bytes are taken") { s in
            for length in [1, 255] {
                let path = s[[UInt8](repeating: 0x61, count: length)]
                try s.make(path, "x")
                s.equal(try s.text(path), "x")
            }
            s.equal(try s.names(s.directory).map(\.utf8.count), [1, 255])
        },
        PosixCase("names.length", "a name of 256 bytes is ENAMETOOLONG in every operation that takes one") {
            s in
            let long = s[[UInt8](repeating: 0x61, count: 256)]
            try s.make(s["f"])
            try Kernel.mkdir(s["d"])
            s.fails(ENAMETOOLONG, "open") { try Kernel.open(long, O_CREAT | O_WRONLY) }
            s.fails(ENAMETOOLONG, "open without O_CREAT") { try Kernel.open(long, O_RDONLY) }
            s.fails(ENAMETOOLONG, "mkdir") { try Kernel.mkdir(long) }
            s.fails(ENAMETOOLONG, "symlink") { try Kernel.symlink("t", long) }
            s.fails(ENAMETOOLONG, "mknod") { try Kernel.mknod(long, S_IFIFO | 0o600) }
            s.fails(ENAMETOOLONG, "link") { try Kernel.link(s["f"], long) }
            s.fails(ENAMETOOLONG, "rename to") { try Kernel.rename(s["f"], long) }
            s.fails(ENAMETOOLONG, "rename from") { try Kernel.rename(long, s["g"]) }
            s.fails(ENAMETOOLONG, "stat") { try Kernel.stat(long) }
            s.fails(ENAMETOOLONG, "unlink") { try Kernel.unlink(long) }
            s.fails(ENAMETOOLONG, "rmdir") { try Kernel.rmdir(long) }
            s.equal(try s.names(s.directory), ["d", "f"], "nothing was made")
        },
        PosixCase("names.length", "names are counted in bytes, not in characters") { s in
            let accented = Array(String(repeating: "\u{e9}", count: 127).utf8)
            try s.make(s[accented])
            s.fails(ENAMETOOLONG) { try Kernel.open(s[accented + [0xc3, 0xa9]], O_CREAT | O_WRONLY) }
        },
        PosixCase("names.bytes", "a name may hold every byte but slash and NUL") { s in
            let bytes = (1...255).map(UInt8.init).filter { $0 != 0x2f }
            for byte in bytes where byte != 0x2e {
                try s.make(s[[byte]], [byte])
            }
            try s.make(s[bytes])
            let listed = Set(try Kernel.list(s.directory).map(\.name))
            s.equal(listed.count, 254)
            for byte in bytes where byte != 0x2e {
                s.that(listed.contains([byte]), "the name of byte \(byte) is listed as it was given")
                s.equal(try s.contents(s[[byte]]), [byte])
            }
        },
        PosixCase(
            "names.bytes", "a name that is no UTF-8 comes back unchanged, and no other spelling finds it"
        ) { s in
            let name: [UInt8] = [0xff, 0xfe, 0xc3, 0x28, 0x80]
            try s.make(s[name], "raw")
            s.equal(try Kernel.list(s.directory).map(\.name), [name])
            s.equal(try s.text(s[name]), "raw")
            s.fails(ENOENT) { try Kernel.stat(s["\u{fffd}\u{fffd}"]) }
        },
        PosixCase(
            "names.bytes", "composed and decomposed spellings are two names, as are upper and lower case"
        ) { s in
            for name in ["\u{e9}", "e\u{301}", "A", "a"] { try s.make(s[name], name) }
            s.equal(try Kernel.list(s.directory).count, 4)
            for name in ["\u{e9}", "e\u{301}", "A", "a"] {
                s.equal(try s.contents(s[name]), Array(name.utf8))
            }
        },
        PosixCase("names.dots", "dot and dot-dot cannot be made, removed or renamed") { s in
            try Kernel.mkdir(s["d"])
            s.fails(EEXIST) { try Kernel.mkdir(s["d/."]) }
            s.fails(EEXIST) { try Kernel.mkdir(s["d/.."]) }
            s.fails(EINVAL) { try Kernel.rmdir(s["d/."]) }
            s.fails(ENOTEMPTY) { try Kernel.rmdir(s["d/.."]) }
            s.fails(anyOf: [EBUSY, EINVAL]) { try Kernel.rename(s["d/."], s["e"]) }
            s.fails(anyOf: [EBUSY, EINVAL]) { try Kernel.rename(s["d/.."], s["e"]) }
        },
        PosixCase("names.dots", "dot and dot-dot are the directory and its parent") { s in
            try Kernel.mkdir(s["d"])
            s.equal(try Kernel.stat(s["d/."]).st_ino, try Kernel.stat(s["d"]).st_ino)
            s.equal(try Kernel.stat(s["d/.."]).st_ino, try Kernel.stat(s.directory).st_ino)
        },
        PosixCase("names.paths", "a path that goes on behind a file is ENOTDIR") { s in
            try s.make(s["f"])
            s.fails(ENOTDIR) { try Kernel.stat(s["f/x"]) }
            s.fails(ENOTDIR) { try Kernel.open(s["f/x"], O_CREAT | O_WRONLY) }
            s.fails(ENOTDIR) { try Kernel.mkdir(s["f/x"]) }
            s.fails(ENOTDIR) { try Kernel.stat(s["f/"]) }
            s.fails(ENOTDIR) { try Kernel.rmdir(s["f"]) }
        },
        PosixCase("names.paths", "a name that is not there is ENOENT, and appears as soon as it is made") {
            s in
            s.fails(ENOENT) { try Kernel.stat(s["n"]) }
            s.fails(ENOENT) { try Kernel.open(s["n"], O_RDONLY) }
            s.fails(ENOENT) { try Kernel.unlink(s["n"]) }
            s.fails(ENOENT) { try Kernel.rmdir(s["n"]) }
            s.fails(ENOENT) { try Kernel.rename(s["n"], s["m"]) }
            s.fails(ENOENT) { try Kernel.mkdir(s["n/m"]) }
            try s.make(s["n"])
            s.that(s.exists(s["n"]), "a lookup that failed before is not remembered")
            try Kernel.unlink(s["n"])
            s.fails(ENOENT) { try Kernel.stat(s["n"]) }
        },
        PosixCase("names.paths", "paths may be deep, and an open directory shortens them") { s in
            var path = s.directory
            for level in 0..<100 {
                path = path / "level-\(level)"
                try Kernel.mkdir(path)
            }
            try s.make(path / "leaf", "deep")
            s.equal(try s.text(path / "leaf"), "deep")
            try Kernel.chdir(path)
            for _ in 0..<100 { try Kernel.chdir("..") }
            s.equal(try Kernel.stat(".").st_ino, try Kernel.stat(s.directory).st_ino)
        },
        PosixCase("names.paths", "relative paths, dot-dot and a working directory inside work as everywhere")
        { s in
            try Kernel.mkdir(s["d"])
            try Kernel.chdir(s["d"])
            try s.make("f", "here")
            s.equal(try s.text("../d/./f"), "here")
            s.equal(try s.text(s["d/f"]), "here")
            let shown = try Program.run(["pwd"], in: s["d"])
            s.equal(shown.output, "\(s["d"])\n")
        },
    ]
}
