import Basics
import Glibc

extension PosixCases {
    static let using: [PosixCase] = [
        PosixCase("using.exec", "a program that was just written runs, and a script too") { s in
            let copied = try Program.run(["cp", "/bin/true", "program"], in: s.directory)
            s.equal(copied.status, 0, copied.output)
            s.equal(try Program.run(["./program"], in: s.directory).status, 0)
            let script = "printf '#!/bin/sh\\necho ran $1\\n' > script; chmod 755 script; ./script it"
            let ran = try Program.run(["sh", "-c", script], in: s.directory)
            s.equal(ran.output, "ran it\n")
        },
        PosixCase("using.exec", "what has no x cannot be run, not even by root") { s in
            let copied = try Program.run(["cp", "/bin/true", "program"], in: s.directory)
            s.equal(copied.status, 0, copied.output)
            try Kernel.chmod(s["program"], 0o644)
            s.fails(EACCES) { try Program.run(["./program"], in: s.directory) }
        },
        PosixCase("using.exec", "a running program cannot be written, and what is written cannot be run") {
            s in
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
        PosixCase("using.locks", "flock locks exclude each other between descriptors, and end with them") {
            s in
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
        PosixCase(
            "using.locks", "record locks hold against other processes, by ranges, and end with their owner"
        ) { s in
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
        PosixCase("using.locks", "a process that waits for a lock gets it when it is free, and can be killed")
        { s in
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
        PosixCase("using.inotify", "inotify reports what happens in a directory") { s in
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
        PosixCase("using.statfs", "statvfs names the longest name, and its figures move with use and return")
        { s in
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
            s.that(full.f_ffree < empty.f_ffree, "a file takes from the files")
            try Kernel.unlink(s["f"])
            // A filesystem may hear a moment later that the last user of a file has gone.
            let deadline = time(nil) + 3
            while try Kernel.statvfs(s.directory).f_bfree != empty.f_bfree && time(nil) < deadline {}
            let after = try Kernel.statvfs(s.directory)
            s.equal(after.f_bfree, empty.f_bfree)
            s.equal(after.f_bavail, empty.f_bavail)
            s.equal(after.f_ffree, empty.f_ffree)
        },
    ]
}
