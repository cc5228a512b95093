import Basics
import CLinux
import Glibc

extension PosixCases {
    static let mappings: [PosixCase] = [
        PosixCase("mapping.coherent", "a shared mapping and read and write see each other at once") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(fd, 16384)
            let mapping = try Mapping(fd, bytes: 16384, shared: true)
            for offset in [0, 4095, 4096, 10_000, 16_383] {
                mapping[offset] = 0x5a
                s.equal(try Kernel.read(fd, at: offset, 1), [0x5a], "store seen by read at \(offset)")
                try Kernel.write(fd, [0x77], at: offset)
                s.equal(mapping[offset], 0x77, "write seen in mapping at \(offset)")
            }
        },
        PosixCase(
            "mapping.coherent", "two mappings of one file are one memory, and both outlive the descriptors"
        ) { s in
            let first = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(first, 4096)
            let second = try s.open(s["f"], O_RDWR)
            let one = try Mapping(first, bytes: 4096, shared: true)
            let two = try Mapping(second, bytes: 4096, shared: true)
            try s.close(first)
            try s.close(second)
            one[7] = 42
            s.equal(two[7], 42)
            try Kernel.unlink(s["f"])
            two[8] = 43
            s.equal(one[8], 43)
        },
        PosixCase("mapping.coherent", "a punched hole is seen in a mapping, and appended bytes are too") {
            s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [UInt8](repeating: 1, count: 8192))
            let mapping = try Mapping(fd, bytes: 12288, shared: true)
            s.equal(mapping[4096], 1)
            try Kernel.fallocate(fd, linux_falloc_punch_hole | linux_falloc_keep_size, 4096, 4096)
            s.equal(mapping[4096], 0)
            s.equal(mapping[4095], 1)
            try Kernel.write(fd, [5], at: 8192)
            s.equal(mapping[8192], 5)
        },
        PosixCase(
            "mapping.coherent", "a file written by one process through a mapping is read right by another"
        ) { s in
            let script = """
                import mmap, os
                fd = os.open("f", os.O_RDWR | os.O_CREAT); os.ftruncate(fd, 100000)
                m = mmap.mmap(fd, 100000); m[99990:100000] = b"0123456789"; m[0:4] = b"head"
                m.flush(); m.close()
                """
            let result = try Program.run(["python3", "-c", script], in: s.directory)
            s.equal(result.status, 0, result.output)
            let bytes = try s.contents(s["f"])
            s.equal(Array(bytes[..<4]), Array("head".utf8))
            s.equal(Array(bytes[99_990...]), Array("0123456789".utf8))
        },
        PosixCase("mapping.coherent", "what msync and the end of a mapping leave is in the file") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.write(fd, [UInt8](repeating: 1, count: 1 << 20))
            do {
                let mapping = try Mapping(fd, bytes: 1 << 20, shared: true)
                for offset in stride(from: 0, to: 1 << 20, by: 1000) { mapping[offset] = 2 }
                try mapping.sync()
                for offset in stride(from: 500, to: 1 << 20, by: 1000) { mapping[offset] = 3 }
            }
            try s.close(fd)
            let bytes = try s.contents(s["f"])
            s.that(stride(from: 0, to: 1 << 20, by: 1000).allSatisfy { bytes[$0] == 2 }, "synced stores")
            s.that(stride(from: 500, to: 1 << 20, by: 1000).allSatisfy { bytes[$0] == 3 }, "later stores")
        },
        PosixCase("mapping.private", "a private mapping keeps its stores to itself") { s in
            try s.make(s["f"], "original")
            let fd = try s.open(s["f"], O_RDONLY)
            let mapping = try Mapping(fd, bytes: 4096, shared: false)
            s.equal(mapping.bytes(0..<8), Array("original".utf8))
            mapping.store(Array("ORIG".utf8), at: 0)
            s.equal(try s.text(s["f"]), "original")
            s.equal(mapping.bytes(0..<8), Array("ORIGinal".utf8))
        },
        PosixCase("mapping.end", "behind the last page of a file a mapping cannot be touched") { s in
            try s.make(s["f"], [UInt8](repeating: 1, count: 5000))
            let fd = try s.open(s["f"], O_RDWR)
            let mapping = try Mapping(fd, bytes: 16384, shared: true)
            let other = try s.open(s["source"], O_RDWR | O_CREAT)
            try Kernel.write(other, [9, 9])
            s.equal(mapping[8191], 0, "the rest of the last page is zeros")
            s.fails(EFAULT) { try mapping.fill(from: other, at: 0, into: 8192, count: 2) }
            try Kernel.truncate(fd, 10_000)
            s.equal(try mapping.fill(from: other, at: 0, into: 8192, count: 2), 2)
            s.equal(try Kernel.read(fd, at: 8192, 3), [9, 9, 0])
            try Kernel.truncate(fd, 4096)
            s.fails(EFAULT) { try mapping.fill(from: other, at: 0, into: 4096, count: 2) }
        },
        PosixCase("mapping.end", "a store to a mapped hole makes a page, and truncation takes it away") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(fd, 1 << 20)
            let mapping = try Mapping(fd, bytes: 1 << 20, shared: true)
            mapping[700_000] = 8
            try mapping.sync()
            s.equal(try Kernel.read(fd, at: 700_000, 1), [8])
            try Kernel.truncate(fd, 0)
            try Kernel.truncate(fd, 1 << 20)
            s.equal(mapping[700_000], 0)
        },
        PosixCase(
            "mapping.holes",
            "what is stored in a mapped hole is data before it is synced, and a copy keeps it"
        ) { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(fd, 1 << 20)
            let mapping = try Mapping(fd, bytes: 1 << 20, shared: true)
            mapping[600_000] = 7
            let data = try Kernel.seek(fd, 0, linux_seek_data)
            s.that(data <= 600_000, "data was found at \(data)")
            let hole = try Kernel.seek(fd, 600_000, linux_seek_hole)
            s.that(hole > 600_000, "a hole was found at \(hole)")
            let copied = try Program.run(["cp", "--sparse=auto", "f", "copy"], in: s.directory)
            s.equal(copied.status, 0)
            s.equal(try s.contents(s["copy"])[600_000], 7)
        },
        PosixCase("mapping.holes", "cp loses nothing that another process has only stored through a mapping")
        { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.truncate(fd, 1 << 20)
            let mapping = try Mapping(fd, bytes: 1 << 20, shared: true)
            mapping.store(Array("stored".utf8), at: 500_000)
            let copied = try Program.run(["cp", "--sparse=auto", "f", "g"], in: s.directory)
            s.equal(copied.status, 0, copied.output)
            s.equal(Array(try s.contents(s["g"])[500_000..<500_006]), Array("stored".utf8))
            s.equal(mapping[500_000], UInt8(ascii: "s"))
        },
        PosixCase("mapping.refused", "a shared writable mapping needs a writable descriptor") { s in
            try s.make(s["f"], "abc")
            let fd = try s.open(s["f"], O_RDONLY)
            s.fails(EACCES) { try Mapping(fd, bytes: 4096, shared: true) }
            let mapping = try Mapping(fd, bytes: 4096, shared: true, writable: false)
            s.equal(mapping.bytes(0..<3), Array("abc".utf8))
            let writer = try s.open(s["f"], O_WRONLY)
            s.fails(EACCES) { try Mapping(writer, bytes: 4096, shared: true) }
            let directory = try s.open(s.directory, O_RDONLY)
            s.fails(ENODEV) { try Mapping(directory, bytes: 4096, shared: true, writable: false) }
        },
    ]
}
