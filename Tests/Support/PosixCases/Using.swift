import Basics
import CLinux
import Glibc

extension PosixCases {
    static let using: [PosixCase] = [
        PosixCase("a program that was just written runs, and a script too") { s in
            let copied = try Program.run(["cp", "/bin/true", "program"], in: s.directory)
            s.equal(copied.status, 0, copied.output)
            s.equal(try Program.run(["./program"], in: s.directory).status, 0)
            let script = "printf '#!/bin/sh\\necho ran $1\\n' > script; chmod 755 script; ./script it"
            let ran = try Program.run(["sh", "-c", script], in: s.directory)
            s.equal(ran.output, "ran it\n")
        },
        PosixCase("what has no x cannot be run, not even by root") { s in
            let copied = try Program.run(["cp", "/bin/true", "program"], in: s.directory)
            s.equal(copied.status, 0, copied.output)
            try Kernel.chmod(s["program"], 0o644)
            s.fails(EACCES) { try Program.run(["./program"], in: s.directory) }
        },
        PosixCase("a running program cannot be written, and what is written cannot be run") { s in
            let copied = try Program.run(["cp", "/bin/sleep", "program"], in: s.directory)
            s.equal(copied.status, 0, copied.output)
            let log = s.keep(try Program.temporaryFile())
            let child = try Program.start(["./program", "30"], in: s.directory, output: log)
            defer {
                _ = kill(child, SIGKILL)
                _ = try? Program.wait(for: child, seconds: 10)
            }
            s.fails(ETXTBSY) { try Kernel.open(s["program"], O_WRONLY) }
            s.fails(ETXTBSY) { try Kernel.truncate(s["program"], 0) }
            let other = try Program.run(["cp", "/bin/true", "other"], in: s.directory)
            s.equal(other.status, 0, other.output)
            let fd = try s.open(s["other"], O_WRONLY)
            s.fails(ETXTBSY) { try Program.run(["./other"], in: s.directory) }
            try s.close(fd)
            s.equal(try Program.run(["./other"], in: s.directory).status, 0)
            try Kernel.unlink(s["program"])
        },
        PosixCase("flock locks exclude each other between descriptors, and end with them") { s in
            let first = try s.open(s["f"], O_RDWR | O_CREAT)
            let second = try s.open(s["f"], O_RDWR)
            try Kernel.call { flock(first, LOCK_EX) }
            s.fails(EWOULDBLOCK) { try Kernel.call { flock(second, LOCK_SH | LOCK_NB) } }
            try Kernel.call { flock(first, LOCK_SH) }
            try Kernel.call { flock(second, LOCK_SH | LOCK_NB) }
            s.fails(EWOULDBLOCK) { try Kernel.call { flock(first, LOCK_EX | LOCK_NB) } }
            try s.close(second)
            try Kernel.call { flock(first, LOCK_EX | LOCK_NB) }
        },
        PosixCase("record locks hold against other processes, by ranges, and end with their owner") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.lock(fd, F_SETLK, Int32(F_WRLCK), start: 10, count: 10)
            let script = """
                import fcntl, os, sys
                fd = os.open("f", os.O_RDWR)
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
                try: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 15); print("taken")
                except OSError as e: print("refused")
                """
            let result = try Program.run(["python3", "-c", script], in: s.directory)
            s.equal(result.output, "refused\n")
            try Kernel.lock(fd, F_SETLK, Int32(F_WRLCK))
            s.equal(Int32(try Kernel.lock(fd, F_GETLK, Int32(F_WRLCK)).l_type), Int32(F_UNLCK))
        },
        PosixCase("a process that waits for a lock gets it when it is free, and can be killed") { s in
            let fd = try s.open(s["f"], O_RDWR | O_CREAT)
            try Kernel.call { flock(fd, LOCK_EX) }
            let log = s.keep(try Program.temporaryFile())
            let doomed = try Program.start(["flock", "f", "true"], in: s.directory, output: log)
            let lucky = try Program.start(["flock", "f", "echo", "got it"], in: s.directory, output: log)
            _ = kill(doomed, SIGKILL)
            s.equal(try Program.wait(for: doomed, seconds: 10), 128 + SIGKILL)
            try Kernel.call { flock(fd, LOCK_UN) }
            s.equal(try Program.wait(for: lucky, seconds: 10), 0)
            s.equal(try Program.everything(in: log), "got it\n")
        },
        PosixCase("inotify reports what happens in a directory") { s in
            try Kernel.mkdir(s["d"])
            let created: UInt32 = 0x100
            let deleted: UInt32 = 0x200
            let movedFrom: UInt32 = 0x40
            let movedTo: UInt32 = 0x80
            let modified: UInt32 = 0x2
            let attributes: UInt32 = 0x4
            let closed: UInt32 = 0x8
            let watch = s.keep(try Kernel.inotify(s["d"], 0x3cf))
            try s.make(s["d/f"], "abc")
            try Kernel.chmod(s["d/f"], 0o600)
            try Kernel.rename(s["d/f"], s["d/g"])
            try Kernel.unlink(s["d/g"])
            let bytes = try Kernel.read(watch, 65536)
            var masks: [UInt32] = []
            var place = 0
            while place + 16 <= bytes.count {
                let word = { (at: Int) in
                    (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + at + $1]) << (8 * $1) }
                }
                masks.append(word(4))
                place += 16 + Int(word(12))
            }
            for mask in [created, modified, closed, attributes, movedFrom, movedTo, deleted] {
                s.that(masks.contains(mask), "event \(mask) is among \(masks)")
            }
        },
        PosixCase("statvfs names the longest name, and its figures move with use and return") { s in
            let empty = try Kernel.statvfs(s.directory)
            s.equal(empty.f_namemax, 255)
            s.that(empty.f_bsize >= 512 && empty.f_frsize >= 512, "sizes of blocks are given")
            s.that(
                empty.f_blocks > 0 && empty.f_bfree <= empty.f_blocks && empty.f_bavail > 0,
                "blocks are given")
            s.that(empty.f_files > 0 && empty.f_ffree <= empty.f_files, "files are given")
            try s.make(s["f"], [UInt8](repeating: 1, count: 4 << 20))
            let full = try Kernel.statvfs(s.directory)
            let used = (empty.f_bfree - full.f_bfree) * empty.f_frsize
            s.that(used >= 4 << 20 && used < 5 << 20, "4 MiB took \(used) bytes")
            s.equal(full.f_blocks, empty.f_blocks)
            try Kernel.unlink(s["f"])
            // A filesystem may hear a moment later that the last user of a file has gone.
            let deadline = time(nil) + 3
            while try Kernel.statvfs(s.directory).f_bfree != empty.f_bfree && time(nil) < deadline {}
            s.equal(try Kernel.statvfs(s.directory).f_bfree, empty.f_bfree)
        },
        PosixCase("relative paths, dot-dot and a working directory inside work as everywhere") { s in
            try Kernel.mkdir(s["d"])
            try Kernel.chdir(s["d"])
            try s.make("f", "here")
            s.equal(try s.text("../d/./f"), "here")
            s.equal(try s.text(s["d/f"]), "here")
            let shown = try Program.run(["pwd"], in: s["d"])
            s.equal(shown.output, "\(s["d"])\n")
        },
        PosixCase("readv and writev, preadv2 and pwritev2 take bytes in pieces") { s in
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
        PosixCase("splice and tee move bytes between files and pipes") { s in
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
        PosixCase("threads that work in one directory leave it as they should") { s in
            let directory = s.directory
            Threads.together(4) { thread in
                for round in 0..<100 {
                    let path = directory / "t\(thread)-\(round)"
                    guard let fd = try? Kernel.open(path, O_RDWR | O_CREAT) else { continue }
                    _ = try? Kernel.write(fd, [UInt8](repeating: UInt8(thread), count: 5000))
                    try? Kernel.close(fd)
                    try? Kernel.rename(path, directory / "r\(thread)-\(round)")
                    if round % 2 == 0 { try? Kernel.unlink(directory / "r\(thread)-\(round)") }
                }
            }
            let left = try Kernel.list(s.directory)
            s.equal(left.count, 200)
            for entry in left {
                let bytes = try s.contents(s[entry.name])
                s.equal(bytes.count, 5000, entry.text)
                s.equal(Set(bytes).count, 1, entry.text)
            }
        },
        PosixCase("numbers of files are not used again while their names come and go") { s in
            var seen: Set<UInt> = []
            for round in 0..<200 {
                try s.make(s["f"], "\(round)")
                s.that(
                    seen.insert(try Kernel.stat(s["f"]).st_ino).inserted, "round \(round) has a new number")
                try Kernel.unlink(s["f"])
            }
        },
    ]
}
