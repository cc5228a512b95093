import Basics
import CLinux
import Glibc

extension PosixCases {
    static let stranger: UInt32 = 1234

    static let permissions: [PosixCase] = [
        PosixCase("permissions.bits", "mode bits decide what a stranger may do with a file", needsRoot: true)
        { s in
            for (mode, mayRead, mayWrite) in [
                (0o600, false, false), (0o604, true, false), (0o602, false, true),
            ] {
                try s.make(s["f"], "abc")
                try Kernel.chmod(s["f"], UInt32(mode))
                try Threads.become(stranger, stranger) {
                    let reading = (try? Kernel.close(Kernel.open(s["f"], O_RDONLY))) != nil
                    let writing = (try? Kernel.close(Kernel.open(s["f"], O_WRONLY))) != nil
                    s.equal(reading, mayRead, "reading \(mode)")
                    s.equal(writing, mayWrite, "writing \(mode)")
                }
            }
        },
        PosixCase(
            "permissions.bits", "the owner's bits count for the owner, the group's for the group",
            needsRoot: true
        ) { s in
            try s.make(s["f"])
            try Kernel.chown(s["f"], stranger, 77)
            try Kernel.chmod(s["f"], 0o077)
            try Threads.become(stranger, stranger) {
                s.fails(EACCES, "owner") { try Kernel.open(s["f"], O_RDONLY) }
            }
            try Kernel.chmod(s["f"], 0o707)
            try Threads.become(4321, 77) { s.fails(EACCES, "group") { try Kernel.open(s["f"], O_RDONLY) } }
            try Threads.become(4321, 78) { try Kernel.close(try Kernel.open(s["f"], O_RDWR)) }
        },
        PosixCase(
            "permissions.bits", "a directory needs x to be passed, r to be listed, w to be changed",
            needsRoot: true
        ) { s in
            try Kernel.mkdir(s["d"])
            try s.make(s["d/f"], "abc")
            try Kernel.chmod(s["d"], 0o704)
            try Threads.become(stranger, stranger) {
                s.equal(try Kernel.list(s["d"]).map(\.text), ["f"])
                s.fails(EACCES, "no x") { try Kernel.stat(s["d/f"]) }
            }
            try Kernel.chmod(s["d"], 0o701)
            try Threads.become(stranger, stranger) {
                s.fails(EACCES, "no r") { try Kernel.list(s["d"]) }
                s.equal(try Kernel.stat(s["d/f"]).st_size, 3)
                s.fails(EACCES, "no w") { try Kernel.unlink(s["d/f"]) }
                s.fails(EACCES, "no w") { try Kernel.mkdir(s["d/g"]) }
                s.fails(EACCES, "no w") { try Kernel.rename(s["d/f"], s["d/g"]) }
            }
        },
        PosixCase("permissions.bits", "access(2) answers for the real user", needsRoot: true) { s in
            try s.make(s["f"])
            try Kernel.chmod(s["f"], 0o640)
            try Kernel.access(s["f"], R_OK | W_OK)
            s.fails(EACCES, "root needs one x") { try Kernel.access(s["f"], X_OK) }
            try Threads.become(stranger, stranger) {
                s.fails(EACCES) { try Kernel.access(s["f"], R_OK) }
                try Kernel.access(s["f"], F_OK)
            }
        },
        PosixCase("permissions.bits", "a permission that is taken away is gone at once", needsRoot: true) {
            s in
            try Kernel.mkdir(s["d"])
            try s.make(s["d/f"])
            for _ in 0..<20 {
                try Kernel.chmod(s["d"], 0o755)
                try Threads.become(stranger, stranger) { _ = try Kernel.stat(s["d/f"]) }
                try Kernel.chmod(s["d"], 0o700)
                try Threads.become(stranger, stranger) { s.fails(EACCES) { try Kernel.stat(s["d/f"]) } }
            }
        },
        PosixCase("permissions.owner", "what is made belongs to who makes it", needsRoot: true) { s in
            try Threads.become(stranger, 77) {
                try Kernel.close(try Kernel.open(s["f"], O_RDWR | O_CREAT))
                try Kernel.mkdir(s["d"])
                try Kernel.symlink("x", s["l"])
                try Kernel.mknod(s["p"], S_IFIFO | 0o600)
            }
            for name in ["f", "d", "l", "p"] {
                let status = try Kernel.lstat(s[name])
                s.equal(status.st_uid, stranger, name)
                s.equal(status.st_gid, 77, name)
            }
        },
        PosixCase("permissions.change", "a stranger can neither chmod nor chown", needsRoot: true) { s in
            try s.make(s["f"])
            try Kernel.chmod(s["f"], 0o666)
            try Threads.become(stranger, stranger) {
                s.fails(EPERM) { try Kernel.chmod(s["f"], 0o777) }
                s.fails(EPERM) { try Kernel.chown(s["f"], stranger, stranger) }
                try Kernel.close(try Kernel.open(s["own"], O_CREAT | O_WRONLY))
                try Kernel.chmod(s["own"], 0o600)
                s.fails(EPERM, "giving away") { try Kernel.chown(s["own"], 0, 0) }
                s.fails(EPERM, "to a foreign group") { try Kernel.chown(s["own"], .max, 0) }
            }
            s.equal(try Kernel.stat(s["f"]).permissions, 0o666)
        },
        PosixCase(
            "permissions.change", "chmod sets all twelve bits, chown each of the two owners alone",
            needsRoot: true
        ) { s in
            try s.make(s["f"])
            try Kernel.mkdir(s["d"])
            for mode: UInt32 in [0, 0o777, 0o7777, 0o1000, 0o6711, 0o640] {
                for name in ["f", "d"] {
                    try Kernel.chmod(s[name], mode)
                    s.equal(try Kernel.stat(s[name]).permissions, mode, name)
                    s.equal(try Kernel.stat(s[name]).type, name == "f" ? S_IFREG : S_IFDIR, name)
                }
            }
            try Kernel.chown(s["f"], 11, .max)
            try Kernel.chown(s["f"], .max, 22)
            let status = try Kernel.stat(s["f"])
            s.equal([status.st_uid, status.st_gid], [11, 22])
            try Kernel.chmod(s["d"], 0o755)
        },
        PosixCase(
            "permissions.setgid", "a setgid directory hands its group down, and directories the bit too",
            needsRoot: true
        ) { s in
            try Kernel.mkdir(s["d"])
            try Kernel.chown(s["d"], 0, 77)
            try Kernel.chmod(s["d"], 0o2777)
            try Threads.become(stranger, stranger) {
                try Kernel.close(try Kernel.open(s["d/f"], O_CREAT | O_WRONLY))
                try Kernel.mkdir(s["d/d"])
                try Kernel.symlink("x", s["d/l"])
                try Kernel.mknod(s["d/p"], S_IFIFO | 0o600)
                try Kernel.close(try Kernel.open(s["d/g"], O_CREAT | O_WRONLY, 0o2755))
                try Kernel.close(try Kernel.open(s["d"], linux_o_tmpfile | O_RDWR))
            }
            for name in ["f", "d", "l", "p"] { s.equal(try Kernel.lstat(s["d/\(name)"]).st_gid, 77, name) }
            s.equal(try Kernel.stat(s["d/d"]).permissions, 0o2755)
            s.equal(try Kernel.stat(s["d/f"]).permissions, 0o644)
            s.equal(try Kernel.stat(s["d/g"]).permissions, 0o755, "setgid for a foreign group is refused")
        },
        PosixCase(
            "permissions.sticky", "in a sticky directory only the owners remove and rename", needsRoot: true
        ) { s in
            try Kernel.mkdir(s["d"])
            try Kernel.chmod(s["d"], 0o1777)
            for name in ["f", "g"] { try s.make(s["d/\(name)"], name) }
            try Kernel.mkdir(s["d/d"])
            try Threads.become(stranger, stranger) {
                s.fails(EPERM, "unlink") { try Kernel.unlink(s["d/f"]) }
                s.fails(EPERM, "rmdir") { try Kernel.rmdir(s["d/d"]) }
                s.fails(EPERM, "rename") { try Kernel.rename(s["d/f"], s["d/h"]) }
                try Kernel.close(try Kernel.open(s["d/own"], O_CREAT | O_WRONLY))
                s.fails(EPERM, "rename over") { try Kernel.rename(s["d/own"], s["d/g"]) }
                s.fails(EPERM) { try Kernel.rename(s["d/own"], s["d/g"], flags: linux_rename_exchange) }
                try Kernel.rename(s["d/own"], s["d/mine"])
                try Kernel.unlink(s["d/mine"])
            }
            try Kernel.chown(s["d"], stranger, stranger)
            try Threads.become(stranger, stranger) { try Kernel.unlink(s["d/f"]) }
            s.equal(try s.names(s["d"]), ["d", "g"])
        },
    ]
}
