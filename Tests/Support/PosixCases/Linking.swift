import Basics
import CLinux
import Glibc

extension PosixCases {
    static let linking: [PosixCase] = [
        PosixCase("links.hard", "a hard link is the same file under a second name") { s in
            try s.make(s["a"], "one")
            try Kernel.link(s["a"], s["b"])
            let first = try Kernel.stat(s["a"])
            let second = try Kernel.stat(s["b"])
            s.equal(first.st_ino, second.st_ino)
            s.equal(first.st_nlink, 2)
            try s.make(s["b"], "two")
            s.equal(try s.text(s["a"]), "two")
            try Kernel.chmod(s["a"], 0o600)
            s.equal(try Kernel.stat(s["b"]).permissions, 0o600)
        },
        PosixCase("links.hard", "symlinks and pipes may have hard links too") { s in
            try Kernel.symlink("nowhere", s["l"])
            try Kernel.link(s["l"], s["m"])
            s.equal(try Kernel.lstat(s["m"]).st_nlink, 2)
            s.equal(try Kernel.readlink(s["m"]), Array("nowhere".utf8))
            try Kernel.mknod(s["p"], S_IFIFO | 0o600)
            try Kernel.link(s["p"], s["q"])
            s.equal(try Kernel.lstat(s["q"]).type, S_IFIFO)
        },
        PosixCase("links.hard", "a file may have thousands of names") { s in
            try s.make(s["f"], "x")
            for index in 0..<2000 { try Kernel.link(s["f"], s["n\(index)"]) }
            s.equal(try Kernel.stat(s["f"]).st_nlink, 2001)
            for index in 0..<2000 { try Kernel.unlink(s["n\(index)"]) }
            s.equal(try Kernel.stat(s["f"]).st_nlink, 1)
        },
        PosixCase("links.refused", "a directory cannot be linked, an existing name cannot be linked over") {
            s in
            try Kernel.mkdir(s["d"])
            try s.make(s["a"], "a")
            try s.make(s["b"], "b")
            s.fails(EPERM) { try Kernel.link(s["d"], s["e"]) }
            s.fails(EEXIST) { try Kernel.link(s["a"], s["b"]) }
            s.fails(EEXIST) { try Kernel.link(s["a"], s["a"]) }
            s.fails(ENOENT) { try Kernel.link(s["none"], s["c"]) }
            s.equal(try s.text(s["b"]), "b")
            s.equal(try Kernel.stat(s["a"]).st_nlink, 1)
        },
        PosixCase(
            "links.count", "a directory may have thousands of subdirectories, and its link count says so"
        ) { s in
            for index in 0..<2000 { try Kernel.mkdir(s["d\(index)"]) }
            s.equal(try Kernel.stat(s.directory).st_nlink, 2002)
            for index in 0..<2000 { try Kernel.rmdir(s["d\(index)"]) }
            s.equal(try Kernel.stat(s.directory).st_nlink, 2)
        },
        PosixCase("links.removal", "unlink of a directory and rmdir of a file fail") { s in
            try Kernel.mkdir(s["d"])
            try s.make(s["f"])
            s.fails(anyOf: [EISDIR, EPERM]) { try Kernel.unlink(s["d"]) }
            s.fails(ENOTDIR) { try Kernel.rmdir(s["f"]) }
        },
        PosixCase("links.removal", "rmdir of a directory with only a file in it is ENOTEMPTY") { s in
            try Kernel.mkdir(s["d"])
            try s.make(s["d/f"])
            s.equal(try Kernel.stat(s["d"]).st_nlink, 2)
            s.fails(ENOTEMPTY) { try Kernel.rmdir(s["d"]) }
            try Kernel.unlink(s["d/f"])
            try Kernel.symlink("x", s["d/l"])
            s.fails(ENOTEMPTY) { try Kernel.rmdir(s["d"]) }
            try Kernel.unlink(s["d/l"])
            try Kernel.rmdir(s["d"])
        },
        PosixCase("links.removal", "rm -rf of a tree of many directories leaves nothing") { s in
            let script =
                "for i in $(seq 40); do mkdir -p t/$i/a/b; "
                + "for k in $(seq 20); do echo $k > t/$i/a/b/$k; done; done"
            let made = try Program.run(["sh", "-c", script], in: s.directory)
            s.equal(made.status, 0, made.output)
            let found = try Program.run(["sh", "-c", "find t -type f | wc -l"], in: s.directory)
            s.equal(found.output, "800\n")
            let gone = try Program.run(["rm", "-rf", "t"], in: s.directory)
            s.equal(gone.status, 0, gone.output)
            s.equal(try Kernel.list(s.directory).count, 0)
        },
        PosixCase(
            "nameless.open", "an unlinked open file works fully, has no link, and leaves no hidden name"
        ) { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, Array("hello".utf8))
            try Kernel.unlink(s["f"])
            s.equal(try Kernel.list(s.directory).count, 0)
            s.equal(try Kernel.stat(fd).st_nlink, 0)
            try Kernel.write(fd, Array(" world".utf8))
            s.equal(try Kernel.read(fd, at: 0, 99), Array("hello world".utf8))
            try Kernel.truncate(fd, 3)
            try Kernel.call { fchmod(fd, 0o640) }
            let status = try Kernel.stat(fd)
            s.equal(status.st_size, 3)
            s.equal(status.permissions, 0o640)
            try s.make(s["f"], "another")
            s.equal(try Kernel.read(fd, at: 0, 99), Array("hel".utf8))
        },
        PosixCase(
            "nameless.open", "an unlinked file stays the same file for every descriptor, through /proc too"
        ) { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.unlink(s["f"])
            let second = try s.open(Path("/proc/self/fd/\(fd)"), O_RDWR)
            try Kernel.write(second, Array("abc".utf8))
            s.equal(try Kernel.read(fd, at: 0, 9), Array("abc".utf8))
            s.fails(ENOENT, "a name for it again") {
                try Kernel.linkat(AT_FDCWD, Path("/proc/self/fd/\(fd)"), s["g"], flags: AT_SYMLINK_FOLLOW)
            }
        },
        PosixCase(
            "nameless.directory", "a removed working directory is empty, nameless and takes nothing new"
        ) { s in
            try Kernel.mkdir(s["d"])
            try Kernel.chdir(s["d"])
            let fd = try s.open(".", O_RDONLY | O_DIRECTORY)
            try Kernel.rmdir(s["d"])
            s.fails(ENOENT) { try Kernel.open("new", O_CREAT | O_WRONLY) }
            s.fails(ENOENT) { try Kernel.mkdir("new") }
            s.fails(ENOENT) { try Kernel.symlink("x", "new") }
            s.equal(try Kernel.list(".").count, 0)
            s.equal(try Kernel.stat(fd).st_nlink, 0)
            s.fails(ENOENT, "it has no path") { try Kernel.workingDirectory() }
            s.equal(try Kernel.stat("..").st_ino, try Kernel.stat(s.directory).st_ino)
            let nameless = try s.open(".", linux_o_tmpfile | O_RDWR)
            try Kernel.write(nameless, [1])
            s.equal(try Kernel.read(nameless, at: 0, 9), [1], "what needs no name can be made")
            try s.make(s["f"])
            s.fails(ENOENT) { try Kernel.link(s["f"], "new") }
            s.fails(ENOENT) { try Kernel.rename(s["f"], "new") }
        },
        PosixCase("nameless.made", "a file made with O_TMPFILE has no name until linkat gives it one") { s in
            let fd = try s.open(s.directory, linux_o_tmpfile | O_RDWR, 0o640)
            s.equal(try Kernel.list(s.directory).count, 0)
            s.equal(try Kernel.stat(fd).st_nlink, 0)
            try Kernel.write(fd, Array("abc".utf8))
            try Kernel.linkat(AT_FDCWD, Path("/proc/self/fd/\(fd)"), s["f"], flags: AT_SYMLINK_FOLLOW)
            s.equal(try s.text(s["f"]), "abc")
            let status = try Kernel.stat(s["f"])
            s.equal(status.st_nlink, 1)
            s.equal(status.permissions, 0o640)
            s.equal(status.st_ino, try Kernel.stat(fd).st_ino)
            try Kernel.unlink(s["f"])
            s.fails(ENOENT, "it had its name") {
                try Kernel.linkat(AT_FDCWD, Path("/proc/self/fd/\(fd)"), s["g"], flags: AT_SYMLINK_FOLLOW)
            }
        },
        PosixCase(
            "nameless.made", "linkat takes an O_TMPFILE descriptor itself with AT_EMPTY_PATH", needsRoot: true
        ) { s in
            let fd = try s.open(s.directory, linux_o_tmpfile | O_RDWR)
            try Kernel.write(fd, [1])
            try Kernel.linkat(fd, "", s["f"], flags: linux_at_empty_path)
            s.equal(try s.contents(s["f"]), [1])
            s.fails(EEXIST) { try Kernel.linkat(fd, "", s["f"], flags: linux_at_empty_path) }
        },
        PosixCase("nameless.made", "hundreds of files without a name live and die apart") { s in
            let files = try (0..<200).map { _ in try s.open(s.directory, linux_o_tmpfile | O_RDWR) }
            for (index, fd) in files.enumerated() { try Kernel.write(fd, Array("\(index)".utf8)) }
            for (index, fd) in files.enumerated() {
                s.equal(try Kernel.read(fd, at: 0, 9), Array("\(index)".utf8))
            }
            s.equal(Set(try files.map { try Kernel.stat($0).st_ino }).count, 200)
        },
        PosixCase(
            "nameless.exclusive", "O_TMPFILE with O_EXCL can never be linked, and with O_RDONLY is EINVAL"
        ) { s in
            let fd = try s.open(s.directory, linux_o_tmpfile | O_RDWR | O_EXCL)
            s.fails(ENOENT) {
                try Kernel.linkat(AT_FDCWD, Path("/proc/self/fd/\(fd)"), s["f"], flags: AT_SYMLINK_FOLLOW)
            }
            s.fails(EINVAL) { try Kernel.open(s.directory, linux_o_tmpfile | O_RDONLY) }
            try s.make(s["g"])
            s.fails(ENOTDIR) { try Kernel.open(s["g"], linux_o_tmpfile | O_RDWR) }
        },
    ]
}
