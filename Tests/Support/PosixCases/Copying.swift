import Basics
import CLinux
import Glibc

extension PosixCases {
    static let copying: [PosixCase] = [
        PosixCase("copying.ranges", "copy_file_range copies between files and extends the target") { s in
            let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
            try s.make(s["a"], bytes)
            let source = try s.open(s["a"], O_RDONLY)
            let target = try s.open(s["b"], O_RDWR | O_CREAT)
            var done = 0
            while done < bytes.count {
                let count = try Kernel.copyRange(source, at: done, target, at: done, bytes.count - done)
                s.that(count > 0, "it goes on")
                if count <= 0 { break }
                done += count
            }
            s.that(try s.contents(s["b"]) == bytes, "the copy is the same")
            s.equal(try Kernel.copyRange(source, at: 10, target, at: 400_000, 5), 5)
            s.equal(try Kernel.read(target, at: 399_999, 9), [0] + bytes[10..<15])
        },
        PosixCase("copying.ranges", "copy_file_range past the end copies what there is, or nothing") { s in
            try s.make(s["a"], "0123456789")
            let source = try s.open(s["a"], O_RDONLY)
            let target = try s.open(s["b"], O_RDWR | O_CREAT)
            s.equal(try Kernel.copyRange(source, at: 10, target, at: 0, 100), 0)
            s.equal(try Kernel.copyRange(source, at: 5000, target, at: 0, 100), 0)
            s.equal(try Kernel.copyRange(source, at: 7, target, at: 0, 100), 3)
            s.equal(try s.text(s["b"]), "789")
        },
        PosixCase("copying.ranges", "sendfile sends a file's bytes to a file and to a pipe") { s in
            try s.make(s["a"], "0123456789")
            let source = try s.open(s["a"], O_RDONLY)
            let target = try s.open(s["b"], O_WRONLY | O_CREAT)
            s.equal(try Kernel.call { linux_sendfile(target, source, 3, 4) }, 4)
            s.equal(try s.text(s["b"]), "3456")
            s.equal(try Kernel.call { linux_sendfile(target, source, 10, 4) }, 0)
        },
        PosixCase(
            "copying.overlap", "copy_file_range inside one file works apart, and is EINVAL where it overlaps"
        ) { s in
            try s.make(s["f"], "0123456789")
            let fd = try s.open(s["f"], O_RDWR)
            s.fails(EINVAL) { try Kernel.copyRange(fd, at: 0, fd, at: 2, 5) }
            s.fails(EINVAL) { try Kernel.copyRange(fd, at: 2, fd, at: 0, 5) }
            s.fails(EINVAL) { try Kernel.copyRange(fd, at: 0, fd, at: 0, 1) }
            s.equal(try Kernel.copyRange(fd, at: 0, fd, at: 5, 5), 5)
            s.equal(try s.text(s["f"]), "0123401234")
        },
        PosixCase("copying.refused", "copy_file_range refuses descriptors that cannot serve") { s in
            try s.make(s["a"], "abc")
            try s.make(s["b"], "xyz")
            let reader = try s.open(s["a"], O_RDONLY)
            let writer = try s.open(s["b"], O_WRONLY)
            let appender = try s.open(s["b"], O_RDWR | O_APPEND)
            let directory = try s.open(s.directory, O_RDONLY | O_DIRECTORY)
            s.fails(EBADF) { try Kernel.copyRange(writer, at: 0, reader, at: 0, 1) }
            s.fails(EBADF) { try Kernel.copyRange(reader, at: 0, reader, at: 2, 1) }
            s.fails(EBADF) { try Kernel.copyRange(reader, at: 0, appender, at: 0, 1) }
            s.fails(anyOf: [EISDIR, EINVAL]) { try Kernel.copyRange(directory, at: 0, writer, at: 0, 1) }
            s.equal(try s.text(s["b"]), "xyz")
        },
        PosixCase("copying.times", "copy_file_range moves the times of the target, and not of the source") {
            s in
            try s.make(s["a"], "0123456789")
            try s.make(s["b"], "xyz")
            let source = try s.open(s["a"], O_RDONLY)
            let target = try s.open(s["b"], O_RDWR)
            try s.times(of: s["a"], modified: false, changed: false, "source") {
                try s.times(of: s["b"], modified: true, changed: true, "target") {
                    s.equal(try Kernel.copyRange(source, at: 0, target, at: 0, 10), 10)
                }
            }
        },
        PosixCase("copying.sparse", "cp keeps a sparse file sparse, and every byte of it") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(fd, 8 << 20)
            try Kernel.write(fd, [UInt8](repeating: 3, count: 5000), at: 3 << 20)
            try s.close(fd)
            let copied = try Program.run(["cp", "--sparse=auto", "f", "g"], in: s.directory)
            s.equal(copied.status, 0, copied.output)
            let same = try Program.run(["cmp", "f", "g"], in: s.directory)
            s.equal(same.status, 0, same.output)
            s.that(try Kernel.stat(s["g"]).st_blocks * 512 <= 1 << 20, "the copy is sparse too")
        },
    ]
}
