import Basics
import CLinux
import Glibc

extension PosixCases {
    static let opening: [PosixCase] = [
        PosixCase("opening.create", "O_CREAT makes a file once, O_EXCL refuses what is there, of any kind") {
            s in
            s.fails(ENOENT) { try Kernel.open(s["f"], O_RDWR) }
            let fd = try s.open(s["f"], O_RDWR | O_CREAT | O_EXCL)
            s.equal(try Kernel.stat(fd).st_size, 0)
            s.fails(EEXIST, "file") { try Kernel.open(s["f"], O_RDWR | O_CREAT | O_EXCL) }
            try Kernel.mkdir(s["d"])
            s.fails(EEXIST, "directory") { try Kernel.open(s["d"], O_RDWR | O_CREAT | O_EXCL) }
            try Kernel.symlink("nowhere", s["l"])
            s.fails(EEXIST, "dangling symlink") { try Kernel.open(s["l"], O_RDWR | O_CREAT | O_EXCL) }
            s.that(!s.exists(s["nowhere"]), "O_EXCL follows no symlink")
            let again = try s.open(s["f"], O_RDWR | O_CREAT)
            s.equal(try Kernel.stat(again).st_ino, try Kernel.stat(fd).st_ino)
        },
        PosixCase("opening.create", "O_CREAT through a dangling symlink makes the target") { s in
            try Kernel.symlink("target", s["l"])
            try s.make(s["l"], "made")
            s.equal(try s.text(s["target"]), "made")
            s.equal(try Kernel.lstat(s["l"]).type, S_IFLNK)
        },
        PosixCase("opening.create", "of many threads that create one name exclusively, one wins") { s in
            let path = s["lock"]
            let wins = s["wins"]
            try s.make(wins)
            Threads.together(8) { _ in
                for _ in 0..<20 {
                    guard let fd = try? Kernel.open(path, O_WRONLY | O_CREAT | O_EXCL) else { continue }
                    try? Kernel.close(fd)
                    guard let log = try? Kernel.open(wins, O_WRONLY | O_APPEND) else { continue }
                    _ = try? Kernel.write(log, [1])
                    try? Kernel.close(log)
                }
            }
            s.equal(try s.contents(wins).count, 1)
        },
        PosixCase("opening.truncate", "opening to write over a longer file leaves only the new bytes") { s in
            try s.make(s["f"], "a long first content")
            try s.make(s["f"], "x")
            s.equal(try s.text(s["f"]), "x")
            s.equal(try Kernel.stat(s["f"]).st_size, 1)
        },
        PosixCase("opening.truncate", "O_TRUNC empties a file that others hold open, and they see it") { s in
            try s.make(s["f"], "0123456789")
            let reader = try s.open(s["f"], O_RDONLY)
            s.equal(try Kernel.read(reader, 4), Array("0123".utf8))
            try s.close(try s.open(s["f"], O_WRONLY | O_TRUNC))
            s.equal(try Kernel.stat(reader).st_size, 0)
            s.equal(try Kernel.read(reader, 4), [])
        },
        PosixCase("opening.kinds", "opening a directory to write is EISDIR, O_DIRECTORY of a file is ENOTDIR")
        { s in
            try Kernel.mkdir(s["d"])
            try s.make(s["f"])
            s.fails(EISDIR) { try Kernel.open(s["d"], O_WRONLY) }
            s.fails(EISDIR) { try Kernel.open(s["d"], O_RDWR) }
            s.fails(EISDIR) { try Kernel.open(s["d"], O_CREAT | O_RDONLY) }
            s.fails(ENOTDIR) { try Kernel.open(s["f"], O_DIRECTORY | O_RDONLY) }
            let fd = try s.open(s["d"], O_RDONLY | O_DIRECTORY)
            s.fails(EISDIR) { try Kernel.read(fd, 10) }
        },
        PosixCase("opening.kinds", "O_NOFOLLOW of a symlink is ELOOP") { s in
            try s.make(s["f"])
            try Kernel.symlink("f", s["l"])
            s.fails(ELOOP) { try Kernel.open(s["l"], O_RDONLY | O_NOFOLLOW) }
            try s.close(try s.open(s["f"], O_RDONLY | O_NOFOLLOW))
        },
        PosixCase("opening.modes", "a descriptor does only what it was opened for") { s in
            try s.make(s["f"], "abc")
            let reader = try s.open(s["f"], O_RDONLY)
            let writer = try s.open(s["f"], O_WRONLY)
            let place = try s.open(s["f"], linux_o_path)
            s.fails(EBADF) { try Kernel.write(reader, [1]) }
            s.fails(EBADF) { try Kernel.read(writer, 1) }
            s.fails(EBADF) { try Kernel.read(place, 1) }
            s.fails(EINVAL) { try Kernel.truncate(reader, 0) }
            s.fails(EBADF) { try Kernel.fallocate(reader, 0, 0, 10) }
            s.equal(try Kernel.stat(place).st_size, 3)
            s.equal(try s.text(s["f"]), "abc")
        },
        PosixCase("opening.modes", "a file made without write permission can be written by who made it") {
            s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT, 0o400)
            try Kernel.write(fd, Array("abc".utf8))
            s.equal(try Kernel.read(fd, at: 0, 9), Array("abc".utf8))
            s.equal(try Kernel.stat(fd).permissions, 0o400)
        },
        PosixCase("opening.umask", "the umask takes bits away from what is made") { s in
            _ = umask(0o027)
            try s.close(try s.open(s["f"], O_RDWR | O_CREAT, 0o777))
            try Kernel.mkdir(s["d"], 0o777)
            try Kernel.mknod(s["p"], S_IFIFO | 0o666)
            try Kernel.symlink("x", s["l"])
            let nameless = try s.open(s.directory, linux_o_tmpfile | O_RDWR, 0o777)
            s.equal(try Kernel.stat(nameless).permissions, 0o750)
            s.equal(try Kernel.stat(s["f"]).permissions, 0o750)
            s.equal(try Kernel.stat(s["d"]).permissions, 0o750)
            s.equal(try Kernel.stat(s["p"]).permissions, 0o640)
            s.equal(try Kernel.lstat(s["l"]).permissions, 0o777)
        },
        PosixCase("opening.append", "O_APPEND writes at the end wherever the descriptor stands") { s in
            try s.make(s["f"], "foo")
            let fd = try s.open(s["f"], O_RDWR | O_APPEND)
            s.equal(try Kernel.seek(fd, 0, SEEK_SET), 0)
            try Kernel.write(fd, Array("bar".utf8))
            s.equal(try Kernel.seek(fd, 0, SEEK_CUR), 6)
            try Kernel.write(fd, Array("!".utf8), at: 0)
            s.equal(try s.text(s["f"]), "foobar!", "pwrite(2) appends too, on Linux")
        },
        PosixCase("opening.append", "many threads that append each with their own descriptor lose nothing") {
            s in
            let path = s["log"]
            try s.make(path)
            let record = 37
            Threads.together(8) { thread in
                guard let fd = try? Kernel.open(path, O_WRONLY | O_APPEND) else { return }
                let line = [UInt8](repeating: UInt8(ascii: "a") + UInt8(thread), count: record - 1) + [10]
                for _ in 0..<100 { _ = try? Kernel.write(fd, line) }
                try? Kernel.close(fd)
            }
            let bytes = try s.contents(path)
            s.equal(bytes.count, 8 * 100 * record)
            let lines = bytes.split(separator: 10)
            s.equal(lines.count, 800)
            s.that(
                lines.allSatisfy { Set($0).count == 1 && $0.count == record - 1 }, "no line is mixed or torn")
        },
        PosixCase("opening.append", "many processes that append lose nothing") { s in
            let script =
                "for i in 1 2 3 4; do (for k in $(seq 50); do echo \"$i-$k\" >> log; done) & done; wait"
            let result = try Program.run(["sh", "-c", script], in: s.directory)
            s.equal(result.status, 0, result.output)
            let lines = try s.text(s["log"]).split(separator: "\n")
            s.equal(lines.count, 200)
            s.equal(Set(lines).count, 200)
        },
        PosixCase(
            "opening.coherent", "a file that is opened, written and closed again and again is never seen old"
        ) { s in
            for round in 0..<200 {
                try s.make(s["f"], "round \(round)")
                s.equal(try s.text(s["f"]), "round \(round)")
                s.equal(try Kernel.stat(s["f"]).st_size, "round \(round)".utf8.count)
            }
        },
        PosixCase("opening.coherent", "O_DIRECT and O_SYNC read and write the same bytes") { s in
            try s.make(s["f"], [UInt8](repeating: 7, count: 8192))
            let synchronous = try s.open(s["f"], O_RDWR | O_SYNC)
            try Kernel.write(synchronous, [1, 2, 3], at: 4096)
            if let direct = try? s.open(s["f"], O_RDWR | linux_o_direct) {
                let piece = try Mapping(bytes: 4096)
                s.equal(try piece.fill(from: direct, at: 4096), 4096)
                s.equal(piece[0], 1)
                piece[0] = 9
                s.equal(try piece.store(to: direct, at: 4096), 4096)
            }
            let first = try s.contents(s["f"])[4096]
            s.that(first == 9 || first == 1, "what O_DIRECT wrote is what others read")
        },
        PosixCase("opening.coherent", "readv and writev, preadv2 and pwritev2 take bytes in pieces") { s in
            let script = """
                import os
                fd = os.open("f", os.O_RDWR | os.O_CREAT)
                assert os.writev(fd, [b"ab", b"", b"cde"]) == 5
                assert os.pwritev(fd, [b"X", b"YZ"], 1) == 3
                a, b = bytearray(2), bytearray(9)
                assert os.preadv(fd, [a, b], 0) == 5 and bytes(a) == b"aX" and bytes(b[:3]) == b"YZe"
                os.lseek(fd, 0, 0); assert os.readv(fd, [a]) == 2
                os.pwritev(fd, [b"!"], 0, os.RWF_APPEND); assert os.stat("f").st_size == 6
                """
            let result = try Program.run(["python3", "-c", script], in: s.directory)
            s.equal(result.status, 0, result.output)
        },
        PosixCase("opening.coherent", "splice and tee move bytes between files and pipes") { s in
            let script = """
                import os
                open("a", "wb").write(bytes(range(256)) * 1000)
                r, w = os.pipe(); source = os.open("a", os.O_RDONLY)
                target = os.open("b", os.O_WRONLY | os.O_CREAT)
                left = 256000
                while left:
                    n = os.splice(source, w, min(left, 65536)); m = 0
                    while m < n: m += os.splice(r, target, n - m)
                    left -= n
                assert open("b", "rb").read() == open("a", "rb").read()
                """
            let probe = try Program.run(["python3", "-c", "import os; os.splice"], in: "/")
            if probe.status != 0 { return print("skipped: this python3 has no os.splice") }
            let result = try Program.run(["python3", "-c", script], in: s.directory)
            s.equal(result.status, 0, result.output)
        },
        PosixCase("opening.sync", "fsync and fdatasync of files and directories succeed") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [1])
            try Kernel.call { fsync(fd) }
            try Kernel.call { fdatasync(fd) }
            let directory = try s.open(s.directory, O_RDONLY | O_DIRECTORY)
            try Kernel.call { fsync(directory) }
        },
    ]
}
