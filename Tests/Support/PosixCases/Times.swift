import Basics
import Glibc

extension PosixCases {
    static let times: [PosixCase] = [
        PosixCase("times.kept", "times are set exactly to the nanosecond") { s in
            try s.make(s["f"])
            for moment in [
                Moment(1, 1), Moment(1_234_567_890, 123_456_789), Moment(1_700_000_000, 999_999_999),
            ] {
                let later = Moment(moment.seconds + 1, 7)
                try Kernel.setTimes(s["f"], accessed: moment.time, modified: later.time)
                let status = try Kernel.stat(s["f"])
                s.equal(status.accessed, moment)
                s.equal(status.modified, later)
            }
        },
        PosixCase("times.kept", "times before 1970 and after 2106 are kept") { s in
            try s.make(s["f"])
            try Kernel.mkdir(s["d"])
            for name in ["f", "d"] {
                for seconds in [-1, -1_000_000_000, 0, 4_294_967_296, 10_000_000_000] {
                    let moment = Moment(seconds, 5)
                    try Kernel.setTimes(s[name], accessed: moment.time, modified: moment.time)
                    let status = try Kernel.stat(s[name])
                    s.equal(status.accessed, moment, name)
                    s.equal(status.modified, moment, name)
                }
            }
        },
        PosixCase("times.set", "UTIME_NOW sets the present, UTIME_OMIT leaves a time alone") { s in
            try s.make(s["f"])
            let old = Moment(1000, 1)
            try Kernel.setTimes(s["f"], accessed: old.time, modified: old.time)
            try Kernel.setTimes(s["f"], accessed: nil, modified: Kernel.now)
            var status = try Kernel.stat(s["f"])
            s.equal(status.accessed, old)
            s.that(status.modified > Moment(1_600_000_000), "now is now: \(status.modified)")
            try Kernel.setTimes(s["f"], accessed: Kernel.now, modified: old.time)
            status = try Kernel.stat(s["f"])
            s.that(status.accessed > Moment(1_600_000_000), "now is now: \(status.accessed)")
            s.equal(status.modified, old)
        },
        PosixCase("times.set", "omitting both times changes nothing at all") { s in
            try s.make(s["f"])
            try s.times(of: s["f"], modified: false, changed: false, "both omitted") {
                try Kernel.setTimes(s["f"], accessed: nil, modified: nil)
            }
        },
        PosixCase("times.set", "setting a time moves the ctime") { s in
            try s.make(s["f"])
            try s.times(of: s["f"], modified: false, changed: true, "utimensat") {
                try Kernel.setTimes(s["f"], accessed: Moment(5).time, modified: nil)
            }
        },
        PosixCase(
            "times.set", "only the owner may set given times, who may write may set the present",
            needsRoot: true
        ) { s in
            try s.make(s["f"])
            try Kernel.chmod(s["f"], 0o646)
            try s.make(s["closed"])
            try Kernel.chmod(s["closed"], 0o644)
            try Threads.become(1234, 1234) {
                s.fails(EPERM) {
                    try Kernel.setTimes(s["f"], accessed: Moment(1).time, modified: Moment(1).time)
                }
                try Kernel.setTimes(s["f"], accessed: Kernel.now, modified: Kernel.now)
                s.fails(EACCES) {
                    try Kernel.setTimes(s["closed"], accessed: Kernel.now, modified: Kernel.now)
                }
            }
        },
        PosixCase("times.symlink", "a symlink has times of its own") { s in
            try s.make(s["f"])
            try Kernel.symlink("f", s["l"])
            let target = try Kernel.stat(s["f"])
            let moment = Moment(-77, 3)
            try Kernel.setTimes(s["l"], accessed: moment.time, modified: moment.time, follow: false)
            s.equal(try Kernel.lstat(s["l"]).modified, moment)
            s.equal(try Kernel.stat(s["f"]).modified, target.modified)
            try Kernel.setTimes(s["l"], accessed: nil, modified: Moment(99).time)
            s.equal(try Kernel.stat(s["f"]).modified, Moment(99))
            s.equal(try Kernel.lstat(s["l"]).modified, moment)
        },
        PosixCase("times.new", "a new file's times are all the same and near the present") { s in
            s.tick()
            let clock = Moment(time(nil))
            try s.make(s["f"])
            try Kernel.mkdir(s["d"])
            try Kernel.symlink("x", s["l"])
            for name in ["f", "d", "l"] {
                let status = try Kernel.lstat(s[name])
                s.equal(status.modified, status.changed, name)
                s.equal(status.modified, status.accessed, name)
                s.that(abs(status.modified.seconds - clock.seconds) <= 2, "\(name): \(status.modified)")
            }
        },
        PosixCase("times.data", "a write moves mtime and ctime, a read neither") { s in
            try s.make(s["f"], "abc")
            let fd = try s.open(s["f"], O_RDWR)
            try s.times(of: s["f"], modified: true, changed: true, "write") { try Kernel.write(fd, [1]) }
            try s.times(of: s["f"], modified: true, changed: true, "pwrite") {
                try Kernel.write(fd, [1], at: 9)
            }
            try s.times(of: s["f"], modified: false, changed: false, "read") {
                _ = try Kernel.read(fd, at: 0, 3)
            }
        },
        PosixCase("times.data", "a change of size moves mtime and ctime") { s in
            try s.make(s["f"], "abc")
            try s.times(of: s["f"], modified: true, changed: true, "shorter") {
                try Kernel.truncate(s["f"], 1)
            }
            try s.times(of: s["f"], modified: true, changed: true, "longer") {
                try Kernel.truncate(s["f"], 9999)
            }
            let fd = try s.open(s["f"], O_RDWR)
            try s.times(of: s["f"], modified: true, changed: true, "ftruncate") {
                try Kernel.truncate(fd, 10)
            }
        },
        PosixCase("times.data", "O_TRUNC moves mtime and ctime, an open without it moves neither") { s in
            try s.make(s["f"], "abc")
            try s.times(of: s["f"], modified: false, changed: false, "open") {
                try s.close(try s.open(s["f"], O_RDWR))
            }
            try s.times(of: s["f"], modified: true, changed: true, "O_TRUNC") {
                try s.close(try s.open(s["f"], O_RDWR | O_TRUNC))
            }
            try s.times(of: s["f"], modified: true, changed: true, "O_TRUNC of an empty file") {
                try s.close(try s.open(s["f"], O_RDWR | O_TRUNC))
            }
        },
        PosixCase("times.data", "ftruncate moves both times also where the size stays") { s in
            try s.make(s["f"], "abc")
            let fd = try s.open(s["f"], O_RDWR)
            try s.times(of: s["f"], modified: true, changed: true, "ftruncate") {
                try Kernel.truncate(fd, 3)
            }
        },
        PosixCase("times.data", "a store through a shared mapping moves both times, by msync at the latest") {
            s in
            try s.make(s["f"], [UInt8](repeating: 1, count: 8192))
            let fd = try s.open(s["f"], O_RDWR)
            let mapping = try Mapping(fd, bytes: 8192, shared: true)
            try s.times(of: s["f"], modified: true, changed: true, "store") {
                mapping[5000] = 7
                try mapping.sync()
            }
        },
        PosixCase("times.attributes", "chmod, chown and xattrs move the ctime only") { s in
            try s.make(s["f"], "abc")
            try s.times(of: s["f"], modified: false, changed: true, "chmod") {
                try Kernel.chmod(s["f"], 0o600)
            }
            try s.times(of: s["f"], modified: false, changed: true, "chown") {
                try Kernel.chown(s["f"], geteuid(), getegid())
            }
            try s.times(of: s["f"], modified: false, changed: true, "setxattr") {
                try Kernel.setXattr(s["f"], "user.a", [1])
            }
            try s.times(of: s["f"], modified: false, changed: true, "removexattr") {
                try Kernel.removeXattr(s["f"], "user.a")
            }
            try s.times(of: s["f"], modified: false, changed: false, "getxattr, stat") {
                _ = try? Kernel.xattr(s["f"], "user.a")
                _ = try Kernel.stat(s["f"])
            }
        },
        PosixCase(
            "times.attributes", "link and unlink move the ctime and the link count, and never the mtime"
        ) { s in
            try s.make(s["a"], "x")
            try s.times(of: s["a"], modified: false, changed: true, "link") {
                try Kernel.link(s["a"], s["b"])
            }
            s.equal(try Kernel.stat(s["a"]).st_nlink, 2)
            try s.times(of: s["a"], modified: false, changed: true, "unlink") { try Kernel.unlink(s["b"]) }
            s.equal(try Kernel.stat(s["a"]).st_nlink, 1)
        },
        PosixCase("times.directory", "making and removing a name moves the times of its directory") { s in
            try Kernel.mkdir(s["d"])
            let steps: [(String, () throws -> Void)] = [
                ("create", { try s.make(s["d/f"]) }),
                ("mkdir", { try Kernel.mkdir(s["d/d"]) }),
                ("symlink", { try Kernel.symlink("x", s["d/l"]) }),
                ("mknod", { try Kernel.mknod(s["d/p"], S_IFIFO | 0o600) }),
                ("link", { try Kernel.link(s["d/f"], s["d/g"]) }),
                ("rename", { try Kernel.rename(s["d/f"], s["d/h"]) }),
                ("unlink", { try Kernel.unlink(s["d/g"]) }),
                ("rmdir", { try Kernel.rmdir(s["d/d"]) }),
            ]
            for (name, step) in steps {
                try s.times(of: s["d"], modified: true, changed: true, name, step)
            }
        },
        PosixCase("times.directory", "link and unlink move the times of the directory") { s in
            try s.make(s["a"])
            try s.times(of: s.directory, modified: true, changed: true, "link") {
                try Kernel.link(s["a"], s["b"])
            }
            try s.times(of: s.directory, modified: true, changed: true, "unlink") {
                try Kernel.unlink(s["b"])
            }
        },
        PosixCase("times.directory", "work on a file leaves the times of its directory alone") { s in
            try s.make(s["f"], "abc")
            try s.times(of: s.directory, modified: false, changed: false, "work on a file") {
                try s.make(s["f"], "other")
                try Kernel.truncate(s["f"], 1)
                try Kernel.chmod(s["f"], 0o600)
                _ = try s.contents(s["f"])
            }
        },
        PosixCase("times.failure", "an operation that fails moves no time") { s in
            try Kernel.mkdir(s["d"])
            try s.make(s["d/f"], "abc")
            for path in [s["d"], s["d/f"]] {
                try s.times(of: path, modified: false, changed: false, "failures") {
                    s.fails(EEXIST) { try Kernel.mkdir(s["d/f"]) }
                    s.fails(EEXIST) { try Kernel.link(s["d/f"], s["d/f"]) }
                    s.fails(ENOTDIR) { try Kernel.rmdir(s["d/f"]) }
                    s.fails(ENOTEMPTY) { try Kernel.rmdir(s["d"]) }
                    s.fails(ENOENT) { try Kernel.unlink(s["d/none"]) }
                    s.fails(ENODATA) { try Kernel.removeXattr(s["d/f"], "user.none") }
                    s.fails(EEXIST) { try Kernel.open(s["d/f"], O_RDWR | O_CREAT | O_EXCL) }
                }
            }
        },
    ]
}
