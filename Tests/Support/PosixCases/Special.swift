import Basics
import Glibc

extension PosixCases {
    static let special: [PosixCase] = [
        PosixCase("special.symlinks", "a symlink keeps its target byte for byte, up to 4095 of them") { s in
            for length in [1, 59, 60, 255, 1024, 4095] {
                let target = (0..<length).map { UInt8(ascii: "a") + UInt8($0 % 26) }
                let path = s["l\(length)"]
                try Kernel.symlink(Path(bytes: target), path)
                s.equal(try Kernel.readlink(path), target)
                s.equal(try Kernel.lstat(path).st_size, length)
            }
            s.fails(ENAMETOOLONG) {
                try Kernel.symlink(Path(bytes: [UInt8](repeating: 0x61, count: 4096)), s["long"])
            }
            s.fails(ENOENT, "an empty target") { try Kernel.symlink("", s["none"]) }
        },
        PosixCase("special.symlinks", "a symlink's target is followed from where the link is, and is bytes") {
            s in
            try Kernel.mkdir(s["d"])
            try s.make(s["f"], "f")
            try Kernel.symlink("../f", s["d/l"])
            s.equal(try s.text(s["d/l"]), "f")
            let odd: [UInt8] = [0xff, 0x80, 0x0a]
            try Kernel.symlink(Path(bytes: odd), s["odd"])
            s.equal(try Kernel.readlink(s["odd"]), odd)
            s.equal(try Kernel.lstat(s["odd"]).permissions, 0o777)
        },
        PosixCase("special.symlinks", "symlinks in a circle are ELOOP, forty in a row are not followed") {
            s in
            try Kernel.symlink("b", s["a"])
            try Kernel.symlink("a", s["b"])
            try Kernel.symlink("self", s["self"])
            s.fails(ELOOP) { try Kernel.stat(s["a"]) }
            s.fails(ELOOP) { try Kernel.open(s["self"], O_RDONLY) }
            try s.make(s["c0"], "end")
            for index in 1...41 { try Kernel.symlink(Path("c\(index - 1)"), s["c\(index)"]) }
            s.equal(try s.text(s["c40"]), "end")
            s.fails(ELOOP) { try Kernel.stat(s["c41"]) }
        },
        PosixCase(
            "special.symlinks", "readlink of what is no symlink is EINVAL, and a short buffer is filled"
        ) { s in
            try s.make(s["f"])
            try Kernel.mkdir(s["d"])
            s.fails(EINVAL) { try Kernel.readlink(s["f"]) }
            s.fails(EINVAL) { try Kernel.readlink(s["d"]) }
            try Kernel.symlink("abcdef", s["l"])
            s.equal(try Kernel.readlink(s["l"], capacity: 3), Array("abc".utf8))
        },
        PosixCase("special.symlinks", "unlink, lstat and lchown take a symlink itself") { s in
            try s.make(s["f"], "f")
            try Kernel.symlink("f", s["l"])
            try Kernel.lchown(s["l"], geteuid(), getegid())
            s.equal(try Kernel.lstat(s["l"]).type, S_IFLNK)
            s.equal(try Kernel.stat(s["l"]).type, S_IFREG)
            try Kernel.unlink(s["l"])
            s.equal(try s.text(s["f"]), "f")
        },
        PosixCase("special.nodes", "mknod makes pipes and sockets, and regular files") { s in
            try Kernel.mknod(s["p"], S_IFIFO | 0o640)
            try Kernel.mknod(s["s"], S_IFSOCK | 0o600)
            try Kernel.mknod(s["f"], S_IFREG | 0o600)
            s.equal(try Kernel.lstat(s["p"]).type, S_IFIFO)
            s.equal(try Kernel.lstat(s["p"]).permissions, 0o640)
            s.equal(try Kernel.lstat(s["s"]).type, S_IFSOCK)
            s.equal(try Kernel.lstat(s["f"]).type, S_IFREG)
            s.fails(EEXIST) { try Kernel.mknod(s["f"], S_IFREG | 0o600) }
            s.fails(anyOf: [EPERM, EINVAL]) { try Kernel.mknod(s["d"], S_IFDIR | 0o700) }
        },
        PosixCase("special.nodes", "mknod of devices keeps both of their numbers", needsRoot: true) { s in
            let numbers: [UInt] = [0x103, 0x800, 0xfff00 | 0xff, 0x1_2345_6789 & 0xffff_ffff]
            for (index, number) in numbers.enumerated() {
                try Kernel.mknod(s["c\(index)"], S_IFCHR | 0o600, device: number)
                try Kernel.mknod(s["b\(index)"], S_IFBLK | 0o600, device: number)
                s.equal(try Kernel.lstat(s["c\(index)"]).st_rdev, number)
                s.equal(try Kernel.lstat(s["b\(index)"]).st_rdev, number)
                s.equal(try Kernel.lstat(s["b\(index)"]).type, S_IFBLK)
            }
        },
        PosixCase("special.nodes", "mknod of a device by another user is EPERM", needsRoot: true) { s in
            try Threads.become(1234, 1234) {
                s.fails(EPERM) { try Kernel.mknod(s["c"], S_IFCHR | 0o600, device: 0x103) }
                try Kernel.mknod(s["p"], S_IFIFO | 0o600)
            }
        },
        PosixCase("special.pipes", "bytes go through a pipe, and leave nothing in the file") { s in
            try Kernel.mknod(s["p"], S_IFIFO | 0o600)
            let reader = try s.open(s["p"], O_RDONLY | O_NONBLOCK)
            let writer = try s.open(s["p"], O_WRONLY)
            try Kernel.write(writer, Array("through".utf8))
            s.equal(try Kernel.read(reader, 99), Array("through".utf8))
            s.equal(try Kernel.stat(s["p"]).st_size, 0)
            s.fails(ESPIPE) { try Kernel.seek(reader, 0, SEEK_SET) }
            try Kernel.mknod(s["q"], S_IFIFO | 0o600)
            s.fails(ENXIO, "no reader") { try Kernel.open(s["q"], O_WRONLY | O_NONBLOCK) }
        },
        PosixCase("special.pipes", "a socket can be bound and connected to, and is ENXIO to open") { s in
            let script = """
                import socket, os
                os.chdir(os.environ["PLACE"])
                a = socket.socket(socket.AF_UNIX); a.bind("s"); a.listen()
                b = socket.socket(socket.AF_UNIX); b.connect("s"); c, _ = a.accept()
                b.sendall(b"hi"); assert c.recv(9) == b"hi"
                """
            let environment = ["PLACE=\(s.directory)"]
            let result = try Program.run(["python3", "-c", script], in: "/", adding: environment)
            s.equal(result.status, 0, result.output)
            s.equal(try Kernel.lstat(s["s"]).type, S_IFSOCK)
            s.fails(ENXIO) { try Kernel.open(s["s"], O_RDWR) }
        },
    ]
}
