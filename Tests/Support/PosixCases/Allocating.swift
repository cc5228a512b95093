import Basics
import CLinux
import Glibc

extension PosixCases {
    static let allocating: [PosixCase] = [
        PosixCase("fallocate.reserves", "fallocate reserves blocks, extends the size and changes no byte") {
            s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [1, 2, 3])
            try Kernel.fallocate(fd, 0, 0, 1 << 20)
            let status = try Kernel.stat(fd)
            s.equal(status.st_size, 1 << 20)
            s.that(status.st_blocks * 512 >= 1 << 20, "blocks are \(status.st_blocks)")
            s.equal(try Kernel.read(fd, at: 0, 5), [1, 2, 3, 0, 0])
        },
        PosixCase("fallocate.reserves", "fallocate with KEEP_SIZE reserves and keeps the size") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [1, 2, 3])
            try Kernel.fallocate(fd, linux_falloc_keep_size, 0, 1 << 20)
            let status = try Kernel.stat(fd)
            s.equal(status.st_size, 3)
            s.that(status.st_blocks * 512 >= 1 << 20, "blocks are \(status.st_blocks)")
            try Kernel.truncate(fd, 3)
            s.equal(try s.contents(s["f"]), [1, 2, 3])
        },
        PosixCase("fallocate.punch", "punching a hole zeroes it, gives its blocks back and keeps the size") {
            s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [UInt8](repeating: 5, count: 1 << 20))
            let both = linux_falloc_punch_hole | linux_falloc_keep_size
            try Kernel.fallocate(fd, both, 1 << 18, 1 << 19)
            let status = try Kernel.stat(fd)
            s.equal(status.st_size, 1 << 20)
            s.that(status.st_blocks * 512 <= (1 << 19) + 65536, "blocks are \(status.st_blocks)")
            let bytes = try s.contents(s["f"])
            s.that(bytes[..<(1 << 18)].allSatisfy { $0 == 5 }, "before")
            s.that(bytes[(1 << 18)..<(3 << 18)].allSatisfy { $0 == 0 }, "inside")
            s.that(bytes[(3 << 18)...].allSatisfy { $0 == 5 }, "behind")
            s.fails(EOPNOTSUPP) { try Kernel.fallocate(fd, linux_falloc_punch_hole, 0, 10) }
        },
        PosixCase("fallocate.punch", "a hole may begin and end inside pages, and lie past the end") { s in
            let both = linux_falloc_punch_hole | linux_falloc_keep_size
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            for (start, count) in [
                (1, 1), (100, 5000), (4095, 2), (4096, 4096), (9999, 90_000), (20_000, 10),
            ] {
                try Kernel.write(fd, [UInt8](repeating: 6, count: 10_000), at: 0)
                try Kernel.fallocate(fd, both, start, count)
                s.equal(try Kernel.stat(fd).st_size, 10_000)
                let bytes = try Kernel.read(fd, at: 0, 10_000)
                for index in 0..<10_000 where (bytes[index] == 0) != (index >= start && index < start + count)
                {
                    s.that(false, "byte \(index) of a hole at \(start) of \(count)")
                    break
                }
            }
        },
        PosixCase(
            "fallocate.refused", "fallocate refuses nonsense and what it cannot do, and changes nothing"
        ) { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [UInt8](repeating: 1, count: 16384))
            s.fails(EINVAL) { try Kernel.fallocate(fd, 0, 0, 0) }
            s.fails(EINVAL) { try Kernel.fallocate(fd, 0, -1, 10) }
            s.fails(EINVAL) { try Kernel.fallocate(fd, 0, 0, -1) }
            s.fails(EOPNOTSUPP) { try Kernel.fallocate(fd, linux_falloc_collapse_range, 0, 4096) }
            s.fails(EOPNOTSUPP) { try Kernel.fallocate(fd, linux_falloc_insert_range, 0, 4096) }
            let both = linux_falloc_punch_hole | linux_falloc_zero_range | linux_falloc_keep_size
            s.fails(EOPNOTSUPP) { try Kernel.fallocate(fd, both, 0, 4096) }
            s.fails(EOPNOTSUPP) { try Kernel.fallocate(fd, 0x100, 0, 4096) }
            s.fails(EFBIG) { try Kernel.fallocate(fd, 0, Int.max - 10, 100) }
            s.equal(try Kernel.stat(fd).st_size, 16384)
            s.that(try s.contents(s["f"]).allSatisfy { $0 == 1 }, "the content is as it was")
        },
        PosixCase("fallocate.times", "fallocate and punching move mtime and ctime") { s in
            try s.make(s["f"], [UInt8](repeating: 1, count: 10_000))
            let fd = try s.open(s["f"], O_RDWR)
            let punch = linux_falloc_punch_hole | linux_falloc_keep_size
            for (mode, count) in [(0, 20_000), (linux_falloc_keep_size, 30_000), (punch, 5000)] {
                try s.times(of: s["f"], modified: true, changed: true, "mode \(mode)") {
                    try Kernel.fallocate(fd, mode, 0, count)
                }
            }
        },
    ]
}
