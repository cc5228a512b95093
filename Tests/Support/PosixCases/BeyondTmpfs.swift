import Basics
import CLinux
import Glibc

extension PosixCases {
    /// Rules that tmpfs does not have, and dmemfs promises.
    package static let beyondTmpfs: [PosixCase] = [
        PosixCase("sizes.cached", "a hole that was read counts as data, and what was written does too") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(fd, 4 << 20)
            try Kernel.write(fd, [1], at: 2 << 20)
            s.equal(try Kernel.seek(fd, 0, linux_seek_data), 2 << 20)
            s.equal(try Kernel.read(fd, at: 8192, 1), [0])
            s.that(try Kernel.seek(fd, 0, linux_seek_data) <= 8192, "the page may be dirty in a mapping")
            s.that(try Kernel.seek(fd, 1 << 20, linux_seek_data) <= 2 << 20, "never sparser than it is")
            try Kernel.truncate(fd, 0)
            try Kernel.truncate(fd, 4 << 20)
            s.fails(ENXIO, "a truncation forgets the pages") { try Kernel.seek(fd, 0, linux_seek_data) }
        },
        PosixCase(
            "fallocate.zero", "ZERO_RANGE zeroes, keeps the blocks, and extends unless it keeps the size"
        ) { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [UInt8](repeating: 5, count: 20_000))
            try Kernel.fallocate(fd, linux_falloc_zero_range, 100, 10_000)
            let bytes = try s.contents(s["f"])
            s.equal(bytes.count, 20_000)
            s.that(bytes[100..<10_100].allSatisfy { $0 == 0 }, "inside")
            s.that(bytes[..<100].allSatisfy { $0 == 5 } && bytes[10_100...].allSatisfy { $0 == 5 }, "outside")
            s.that(try Kernel.stat(fd).st_blocks * 512 >= 20_000, "the blocks are still held")
            let keeping = linux_falloc_zero_range | linux_falloc_keep_size
            try Kernel.fallocate(fd, keeping, 15_000, 20_000)
            s.equal(try Kernel.stat(fd).st_size, 20_000)
            try Kernel.fallocate(fd, linux_falloc_zero_range, 15_000, 20_000)
            s.equal(try Kernel.stat(fd).st_size, 35_000)
            s.that(try s.contents(s["f"])[15_000...].allSatisfy { $0 == 0 }, "the tail is zeros")
        },
        PosixCase("copying.bounded", "one copy_file_range copies 64 MiB at the most, and can go on") { s in
            let piece = 64 << 20
            let source = try s.open(s["a"], O_RDWR | O_CREAT)
            let target = try s.open(s["b"], O_RDWR | O_CREAT)
            try Kernel.truncate(source, piece + 1000)
            try Kernel.write(source, [1, 2, 3], at: piece)
            s.equal(try Kernel.copyRange(source, at: 0, target, at: 0, 1 << 30), piece)
            s.equal(try Kernel.copyRange(source, at: piece, target, at: piece, 1 << 30), 1000)
            s.equal(try Kernel.read(target, at: piece - 1, 4), [0, 1, 2, 3])
        },
        PosixCase("times.truncate", "a truncation to the size that the file has moves both times") { s in
            try s.make(s["f"], "abc")
            try s.times(of: s["f"], modified: true, changed: true, "truncate") {
                try Kernel.truncate(s["f"], 3)
            }
        },
        PosixCase("times.atime", "a read moves no atime, and utimensat does") { s in
            try s.make(s["f"], "abc")
            let old = Moment(1000, 1)
            try Kernel.setTimes(s["f"], accessed: old.time, modified: nil)
            s.tick()
            s.equal(try s.text(s["f"]), "abc")
            _ = try Kernel.list(s.directory)
            s.equal(try Kernel.stat(s["f"]).accessed, old)
            try Kernel.setTimes(s["f"], accessed: Kernel.now, modified: nil)
            s.that(try Kernel.stat(s["f"]).accessed > old, "it is set")
        },
        PosixCase("xattrs.list", "a list of more than 64 KiB is E2BIG, and each can still be read") { s in
            try s.make(s["f"])
            let names = (100..<400).map { "user.\($0)" + String(repeating: "n", count: 242) }
            for name in names { try Kernel.setXattr(s["f"], Path(name), [1]) }
            s.fails(E2BIG) { try Kernel.xattrs(s["f"]) }
            s.equal(try Kernel.xattr(s["f"], Path(names[299])), [1])
            for name in names.dropFirst(200) { try Kernel.removeXattr(s["f"], Path(name)) }
            s.equal(try Kernel.xattrs(s["f"]).filter { $0.hasPrefix("user.") }.count, 200)
        },
    ]
}
