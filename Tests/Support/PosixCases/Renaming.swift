import Basics
import CLinux
import Glibc

extension PosixCases {
    static let renaming: [PosixCase] = [
        PosixCase("rename.replaces", "rename moves a file, its content and its number") { s in
            try s.make(s["a"], "content")
            try Kernel.mkdir(s["d"])
            let number = try Kernel.stat(s["a"]).st_ino
            try Kernel.rename(s["a"], s["d/b"])
            s.that(!s.exists(s["a"]), "the old name is gone")
            s.equal(try Kernel.stat(s["d/b"]).st_ino, number)
            s.equal(try s.text(s["d/b"]), "content")
        },
        PosixCase(
            "rename.replaces", "rename over a file replaces it at once, and its reader keeps the old one"
        ) { s in
            try s.make(s["a"], "new")
            try s.make(s["b"], "old")
            let reader = try s.open(s["b"], O_RDONLY)
            try Kernel.rename(s["a"], s["b"])
            s.equal(try s.names(s.directory), ["b"])
            s.equal(try s.text(s["b"]), "new")
            s.equal(try Kernel.read(reader, 10), Array("old".utf8))
            s.equal(try Kernel.stat(reader).st_nlink, 0)
        },
        PosixCase("rename.replaces", "a reader never misses a name that is replaced again and again") { s in
            let target = s["t"]
            let directory = s.directory
            let misses = s["misses"]
            try s.make(target, "0")
            try s.make(misses)
            Threads.together(2) { thread in
                for round in 0..<400 {
                    if thread == 0 {
                        let fresh = directory / "fresh"
                        guard let fd = try? Kernel.open(fresh, O_WRONLY | O_CREAT) else { continue }
                        _ = try? Kernel.write(fd, Array("\(round)".utf8))
                        try? Kernel.close(fd)
                        try? Kernel.rename(fresh, target)
                    } else if (try? Kernel.close(Kernel.open(target, O_RDONLY))) == nil {
                        guard let fd = try? Kernel.open(misses, O_WRONLY | O_APPEND) else { continue }
                        _ = try? Kernel.write(fd, [1])
                        try? Kernel.close(fd)
                    }
                }
            }
            s.equal(try s.contents(misses).count, 0, "times that the name was not there")
            s.equal(try s.text(target), "399")
        },
        PosixCase("rename.replaces", "rename does not follow symlinks") { s in
            try s.make(s["f"], "f")
            try Kernel.symlink("f", s["l"])
            try Kernel.rename(s["l"], s["m"])
            s.equal(try Kernel.readlink(s["m"]), Array("f".utf8))
            try s.make(s["g"], "g")
            try Kernel.rename(s["g"], s["m"])
            s.equal(try Kernel.lstat(s["m"]).type, S_IFREG)
            s.equal(try s.text(s["f"]), "f")
            try Kernel.unlink(s["m"])
        },
        PosixCase(
            "rename.replaces",
            "a symlink that replaced a file, and a file that replaced a symlink, can be unlinked"
        ) { s in
            try s.make(s["f"], "f")
            try Kernel.symlink("nowhere", s["l"])
            try Kernel.rename(s["l"], s["f"])
            s.equal(try Kernel.readlink(s["f"]), Array("nowhere".utf8))
            try Kernel.unlink(s["f"])
            try Kernel.symlink("nowhere", s["l"])
            try s.make(s["g"], "g")
            try Kernel.rename(s["g"], s["l"])
            s.equal(try s.text(s["l"]), "g")
            try Kernel.unlink(s["l"])
            s.equal(try s.names(s.directory), [])
        },
        PosixCase(
            "rename.directories", "rename over an empty directory succeeds, over a full one is ENOTEMPTY"
        ) { s in
            for name in ["a", "empty", "full"] { try Kernel.mkdir(s[name]) }
            try s.make(s["a/x"], "x")
            try s.make(s["full/y"])
            s.fails(anyOf: [ENOTEMPTY, EEXIST]) { try Kernel.rename(s["a"], s["full"]) }
            s.equal(try s.names(s["full"]), ["y"])
            try Kernel.rename(s["a"], s["empty"])
            s.equal(try s.names(s.directory), ["empty", "full"])
            s.equal(try s.text(s["empty/x"]), "x")
        },
        PosixCase(
            "rename.directories",
            "rename of a directory over a file is ENOTDIR, of a file over a directory EISDIR"
        ) { s in
            try Kernel.mkdir(s["d"])
            try s.make(s["f"], "f")
            s.fails(ENOTDIR) { try Kernel.rename(s["d"], s["f"]) }
            s.fails(EISDIR) { try Kernel.rename(s["f"], s["d"]) }
            try Kernel.symlink("f", s["l"])
            s.fails(ENOTDIR) { try Kernel.rename(s["d"], s["l"]) }
            s.fails(EISDIR) { try Kernel.rename(s["l"], s["d"]) }
            s.equal(try s.names(s.directory), ["d", "f", "l"])
        },
        PosixCase("rename.directories", "rename of a directory into its own subtree is EINVAL") { s in
            try Kernel.mkdir(s["a"])
            try Kernel.mkdir(s["a/b"])
            try Kernel.mkdir(s["a/b/c"])
            s.fails(EINVAL) { try Kernel.rename(s["a"], s["a/x"]) }
            s.fails(EINVAL) { try Kernel.rename(s["a"], s["a/b/c/x"]) }
            s.fails(EINVAL) { try Kernel.rename(s["a"], s["a/b"], flags: linux_rename_exchange) }
            s.fails(anyOf: [ENOTEMPTY, EEXIST], "onto an ancestor") { try Kernel.rename(s["a/b/c"], s["a"]) }
            s.equal(try s.names(s["a/b"]), ["c"])
        },
        PosixCase("rename.directories", "a moved directory takes its dot-dot along, and link counts follow") {
            s in
            for name in ["p", "q", "p/d", "p/d/e"] { try Kernel.mkdir(s[name]) }
            try Kernel.rename(s["p/d"], s["q/d"])
            s.equal(try Kernel.stat(s["p"]).st_nlink, 2)
            s.equal(try Kernel.stat(s["q"]).st_nlink, 3)
            s.equal(try Kernel.stat(s["q/d/.."]).st_ino, try Kernel.stat(s["q"]).st_ino)
            s.equal(try Kernel.stat(s["q/d/e"]).type, S_IFDIR)
        },
        PosixCase("rename.directories", "directories that threads move into each other never make a loop") {
            s in
            let directory = s.directory
            for name in ["a", "b", "a/x", "b/y"] { try Kernel.mkdir(s[name]) }
            Threads.together(2) { thread in
                for _ in 0..<300 {
                    if thread == 0 {
                        try? Kernel.rename(directory / "a", directory / "b/y/a")
                        try? Kernel.rename(directory / "b/y/a", directory / "a")
                    } else {
                        try? Kernel.rename(directory / "b", directory / "a/x/b")
                        try? Kernel.rename(directory / "a/x/b", directory / "b")
                    }
                }
            }
            let found = try Program.run(["find", ".", "-type", "d"], in: s.directory)
            s.equal(found.status, 0, found.output)
            s.equal(found.output.split(separator: "\n").count, 5, "each of four directories is reached once")
        },
        PosixCase("rename.same", "rename between two names of one file does nothing and keeps both") { s in
            try s.make(s["a"], "x")
            try Kernel.link(s["a"], s["b"])
            try s.times(of: s["a"], modified: false, changed: false, "no-op") {
                try Kernel.rename(s["a"], s["b"])
            }
            s.equal(try s.names(s.directory), ["a", "b"])
            s.equal(try Kernel.stat(s["a"]).st_nlink, 2)
            try Kernel.rename(s["a"], s["a"])
            s.equal(try s.text(s["a"]), "x")
        },
        PosixCase("rename.noreplace", "NOREPLACE refuses an existing target of any kind, and moves otherwise")
        { s in
            try s.make(s["a"], "a")
            try s.make(s["b"], "b")
            try Kernel.mkdir(s["d"])
            try Kernel.symlink("nowhere", s["l"])
            for name in ["b", "d", "l", "a"] {
                s.fails(EEXIST, name) { try Kernel.rename(s["a"], s[name], flags: linux_rename_noreplace) }
            }
            s.equal(try s.text(s["b"]), "b")
            try Kernel.rename(s["a"], s["d/a"], flags: linux_rename_noreplace)
            s.equal(try s.names(s.directory), ["b", "d", "l"])
            s.equal(try s.text(s["d/a"]), "a")
        },
        PosixCase("rename.exchange", "EXCHANGE swaps two names, whose types may differ, and destroys nothing")
        { s in
            try s.make(s["f"], "file")
            try Kernel.mkdir(s["d"])
            try s.make(s["d/inner"], "inner")
            try Kernel.symlink("s", s["l"])
            try Kernel.rename(s["f"], s["d"], flags: linux_rename_exchange)
            s.equal(try s.text(s["d"]), "file")
            s.equal(try s.text(s["f/inner"]), "inner")
            try Kernel.rename(s["l"], s["d"], flags: linux_rename_exchange)
            s.equal(try Kernel.readlink(s["d"]), Array("s".utf8))
            s.equal(try s.text(s["l"]), "file")
            s.fails(ENOENT) { try Kernel.rename(s["l"], s["none"], flags: linux_rename_exchange) }
        },
        PosixCase("rename.exchange", "EXCHANGE across directories keeps the parents' link counts true") { s in
            for name in ["p", "q", "p/d"] { try Kernel.mkdir(s[name]) }
            try s.make(s["q/f"], "f")
            try Kernel.rename(s["p/d"], s["q/f"], flags: linux_rename_exchange)
            s.equal(try Kernel.stat(s["p"]).st_nlink, 2)
            s.equal(try Kernel.stat(s["q"]).st_nlink, 3)
            s.equal(try Kernel.stat(s["q/f/.."]).st_ino, try Kernel.stat(s["q"]).st_ino)
            s.equal(try s.text(s["p/d"]), "f")
        },
        PosixCase("rename.whiteout", "WHITEOUT leaves a character device 0:0 behind", needsRoot: true) { s in
            try s.make(s["a"], "a")
            try Kernel.rename(s["a"], s["b"], flags: linux_rename_whiteout)
            let left = try Kernel.lstat(s["a"])
            s.equal(left.type, S_IFCHR)
            s.equal(left.st_rdev, 0)
            s.equal(try s.text(s["b"]), "a")
            try s.make(s["c"], "c")
            try Kernel.rename(s["b"], s["c"], flags: linux_rename_whiteout)
            s.equal(try Kernel.lstat(s["b"]).type, S_IFCHR)
            s.equal(try s.text(s["c"]), "a")
        },
        PosixCase("rename.flags", "flags that exclude each other, or that nobody knows, are EINVAL") { s in
            try s.make(s["a"])
            try s.make(s["b"])
            let both = linux_rename_exchange | linux_rename_noreplace
            s.fails(EINVAL) { try Kernel.rename(s["a"], s["b"], flags: both) }
            s.fails(EINVAL) {
                try Kernel.rename(s["a"], s["b"], flags: linux_rename_exchange | linux_rename_whiteout)
            }
            s.fails(EINVAL) { try Kernel.rename(s["a"], s["b"], flags: 0x80) }
            s.equal(try s.names(s.directory), ["a", "b"])
        },
        PosixCase("rename.times", "rename moves the ctime of the file and the times of both parents") { s in
            for name in ["p", "q"] { try Kernel.mkdir(s[name]) }
            try s.make(s["p/a"], "a")
            let before = try ["p", "q", "p/a"].map { try Kernel.stat(s[$0]) }
            s.tick()
            try Kernel.rename(s["p/a"], s["q/a"])
            let after = try ["p", "q", "q/a"].map { try Kernel.stat(s[$0]) }
            s.that(after[0].modified > before[0].modified, "old parent's mtime")
            s.that(after[1].modified > before[1].modified, "new parent's mtime")
            s.that(after[0].changed > before[0].changed, "old parent's ctime")
            s.that(after[1].changed > before[1].changed, "new parent's ctime")
            s.that(after[2].changed > before[2].changed, "the file's ctime")
            s.equal(after[2].modified, before[2].modified, "the file's mtime")
        },
    ]
}
