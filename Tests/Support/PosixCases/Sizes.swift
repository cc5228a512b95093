import Basics
import CLinux
import Glibc

extension PosixCases {
    static let sizes: [PosixCase] = [
        PosixCase("sizes.truncate", "truncate shortens and extends, and what appears is zeros") { s in
            try s.make(s["f"], [UInt8](repeating: 0xaa, count: 10_000))
            try Kernel.truncate(s["f"], 100)
            s.equal(try Kernel.stat(s["f"]).st_size, 100)
            try Kernel.truncate(s["f"], 20_000)
            let bytes = try s.contents(s["f"])
            s.equal(bytes.count, 20_000)
            s.that(bytes[..<100].allSatisfy { $0 == 0xaa }, "the first 100 bytes stay")
            s.that(bytes[100...].allSatisfy { $0 == 0 }, "what was cut off never comes back")
        },
        PosixCase("sizes.truncate", "bytes cut off inside a page do not come back at any size") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            for size in [1, 7, 511, 512, 4095, 4096, 4097, 8191, 65535, 65537] {
                try Kernel.write(fd, [UInt8](repeating: 0xff, count: 70_000), at: 0)
                try Kernel.truncate(fd, size)
                try Kernel.truncate(fd, 70_000)
                let bytes = try Kernel.read(fd, at: 0, 70_000)
                s.equal(bytes.count, 70_000)
                s.equal(bytes.firstIndex(of: 0), size)
                s.equal(bytes.lastIndex(of: 0xff), size - 1)
            }
        },
        PosixCase("sizes.truncate", "truncate refuses what is no file, and a negative size") { s in
            try Kernel.mkdir(s["d"])
            try s.make(s["f"], "abc")
            s.fails(EISDIR) { try Kernel.truncate(s["d"], 0) }
            s.fails(ENOENT) { try Kernel.truncate(s["none"], 0) }
            s.fails(EINVAL) { try Kernel.truncate(s["f"], -1) }
            s.equal(try s.text(s["f"]), "abc")
        },
        PosixCase("sizes.holes", "a write behind the end leaves a hole that reads as zeros") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [1])
            try Kernel.write(fd, [2], at: 1 << 20)
            s.equal(try Kernel.stat(fd).st_size, (1 << 20) + 1)
            s.that(try Kernel.read(fd, at: 1, 1 << 18).allSatisfy { $0 == 0 }, "the hole is zeros")
            s.equal(try Kernel.read(fd, at: 1 << 20, 5), [2])
        },
        PosixCase("sizes.holes", "a hole of a tebibyte costs nothing") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(fd, 1 << 40)
            let status = try Kernel.stat(fd)
            s.equal(status.st_size, 1 << 40)
            s.that(status.st_blocks * 512 <= 65536, "blocks are \(status.st_blocks)")
            s.equal(try Kernel.read(fd, at: (1 << 40) - 3, 9), [0, 0, 0])
            try Kernel.write(fd, [9], at: 1 << 39)
            s.equal(try Kernel.read(fd, at: 1 << 39, 1), [9])
            s.that(try Kernel.stat(fd).st_blocks * 512 <= 1 << 20, "one byte costs one page or so")
        },
        PosixCase("sizes.blocks", "st_blocks tells what is allocated, up and down") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            s.equal(try Kernel.stat(fd).st_blocks, 0)
            try Kernel.write(fd, [UInt8](repeating: 1, count: 1 << 20))
            let full = try Kernel.stat(fd).st_blocks * 512
            s.that(full >= 1 << 20 && full <= (1 << 20) + 65536, "a mebibyte has \(full) bytes of blocks")
            try Kernel.truncate(fd, 1 << 19)
            let half = try Kernel.stat(fd).st_blocks * 512
            s.that(half >= 1 << 19 && half <= (1 << 19) + 65536, "half of it has \(half)")
            try Kernel.truncate(fd, 0)
            s.equal(try Kernel.stat(fd).st_blocks, 0)
        },
        PosixCase("sizes.seek", "SEEK_DATA and SEEK_HOLE find what was written and what was not") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(fd, 4 << 20)
            try Kernel.write(fd, [UInt8](repeating: 1, count: 4096), at: 1 << 20)
            let data = try Kernel.seek(fd, 0, linux_seek_data)
            s.that(data <= 1 << 20 && data > (1 << 20) - 65536, "data found at \(data)")
            s.equal(try Kernel.seek(fd, 1 << 20, linux_seek_data), 1 << 20)
            s.equal(try Kernel.seek(fd, 0, linux_seek_hole), 0)
            let hole = try Kernel.seek(fd, 1 << 20, linux_seek_hole)
            s.that(hole >= (1 << 20) + 4096 && hole <= (1 << 20) + 65536, "hole found at \(hole)")
            s.fails(ENXIO, "no data behind it") { try Kernel.seek(fd, 2 << 20, linux_seek_data) }
            s.equal(try Kernel.seek(fd, 2 << 20, linux_seek_hole), 2 << 20)
            s.fails(ENXIO, "at the end") { try Kernel.seek(fd, 4 << 20, linux_seek_hole) }
            s.fails(ENXIO, "past the end") { try Kernel.seek(fd, 5 << 20, linux_seek_data) }
        },
        PosixCase("sizes.seek", "in a file without holes the only hole is its end") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            s.fails(ENXIO, "empty") { try Kernel.seek(fd, 0, linux_seek_data) }
            try Kernel.write(fd, [UInt8](repeating: 1, count: 10_000))
            s.equal(try Kernel.seek(fd, 0, linux_seek_data), 0)
            s.equal(try Kernel.seek(fd, 5_000, linux_seek_data), 5_000)
            s.equal(try Kernel.seek(fd, 0, linux_seek_hole), 10_000)
            s.equal(try Kernel.seek(fd, 9_999, linux_seek_hole), 10_000)
        },
        PosixCase("sizes.seek", "lseek takes every whence, and no negative place") { s in
            try s.make(s["f"], "0123456789")
            let fd = try s.open(s["f"], O_RDWR)
            s.equal(try Kernel.seek(fd, -3, SEEK_END), 7)
            s.equal(try Kernel.read(fd, 9), Array("789".utf8))
            s.equal(try Kernel.seek(fd, -5, SEEK_CUR), 5)
            s.fails(EINVAL) { try Kernel.seek(fd, -1, SEEK_SET) }
            s.fails(EINVAL) { try Kernel.seek(fd, -11, SEEK_END) }
            s.fails(EINVAL) { try Kernel.seek(fd, 0, 99) }
            s.equal(try Kernel.seek(fd, 100, SEEK_SET), 100)
            s.equal(try Kernel.read(fd, 9), [])
            s.equal(try Kernel.stat(fd).st_size, 10)
        },
        PosixCase(
            "sizes.largest",
            "places at the edge of what a number holds are refused or work, and nothing breaks"
        ) { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [1])
            s.fails(anyOf: [EFBIG, EINVAL]) { try Kernel.write(fd, [2], at: Int.max) }
            s.fails(EINVAL) { try Kernel.write(fd, [2], at: -1) }
            s.fails(EINVAL) { try Kernel.read(fd, at: -1, 1) }
            s.equal(try Kernel.read(fd, at: Int.max - 1, 1), [])
            for place in [Int.max - 1, Int.max - 4096, 1 << 62, 1 << 52, 1 << 47] {
                do { try Kernel.write(fd, [3], at: place) } catch Errno.fileTooLarge {}
                do { try Kernel.truncate(fd, place) } catch Errno.fileTooLarge {}
                try Kernel.truncate(fd, 1)
                s.equal(try s.contents(s["f"]), [1])
            }
        },
        PosixCase("sizes.largest", "a process past its RLIMIT_FSIZE gets EFBIG, after what fitted") { s in
            let script = """
                import os, resource, signal
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
                fd = os.open(os.environ["PLACE"] + "/f", os.O_RDWR | os.O_CREAT)
                assert os.write(fd, b"x" * 20000) == 10000
                try: os.write(fd, b"y")
                except OSError as e: print(e.errno)
                try: os.ftruncate(fd, 10001)
                except OSError as e: print(e.errno)
                """
            let result = try Program.run(
                ["python3", "-c", script], in: "/", adding: ["PLACE=\(s.directory)"])
            s.equal(result.output, "27\n27\n")
            s.equal(try Kernel.stat(s["f"]).st_size, 10_000)
        },
        PosixCase("sizes.pieces", "pieces of odd sizes, written in any order, read back in any pieces") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            let whole = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
            var pieces: [Range<Int>] = []
            var start = 0
            while start < whole.count {
                let end = min(whole.count, start + 1 + (start &* 31 &+ 77_777) % 150_000)
                pieces.append(start..<end)
                start = end
            }
            for index in stride(from: pieces.count - 1, through: 0, by: -2) {
                try Kernel.write(fd, Array(whole[pieces[index]]), at: pieces[index].lowerBound)
            }
            for index in stride(from: pieces.count - 2, through: 0, by: -2) {
                try Kernel.write(fd, Array(whole[pieces[index]]), at: pieces[index].lowerBound)
            }
            s.that(try s.contents(s["f"]) == whole, "the whole")
            for start in stride(from: 0, to: whole.count, by: 99_991) {
                let end = min(whole.count, start + 12_345)
                s.that(
                    try Kernel.read(fd, at: start, 12_345) == Array(whole[start..<end]), "piece at \(start)")
            }
        },
        PosixCase("sizes.pieces", "writes of one byte each, thousands of them, make one file") { s in
            let fd = try s.open(s["f"], O_WRONLY | O_CREAT | O_APPEND)
            for index in 0..<5000 { try Kernel.write(fd, [UInt8(truncatingIfNeeded: index)]) }
            s.equal(try s.contents(s["f"]), (0..<5000).map { UInt8(truncatingIfNeeded: $0) })
        },
        PosixCase("sizes.pieces", "a write of nothing changes nothing") { s in
            try s.make(s["f"], "abc")
            let fd = try s.open(s["f"], O_WRONLY)
            try s.times(of: s["f"], modified: false, changed: false, "write of 0") {
                s.equal(try Kernel.write(fd, []), 0)
                s.equal(try Kernel.write(fd, [], at: 1000), 0)
            }
            s.equal(try Kernel.stat(fd).st_size, 3)
        },
    ]
}
