import Basics
import CLinux
import Glibc

extension PosixCases {
    static let privileges: [PosixCase] = [
        PosixCase(
            "privileges.write", "a write by a stranger clears setuid, and setgid of an executable",
            needsRoot: true
        ) { s in
            for (before, after) in [(0o6777, 0o777), (0o4777, 0o777), (0o2777, 0o777), (0o2767, 0o2767)] {
                try s.make(s["f"], "abc")
                try Kernel.chmod(s["f"], UInt32(before))
                try Threads.become(stranger, stranger) {
                    let fd = try Kernel.open(s["f"], O_WRONLY)
                    try Kernel.write(fd, [1])
                    try Kernel.close(fd)
                }
                // A group that may not execute: POSIX leaves setgid to the system, and Linux has changed its
                // mind.
                let found = try Kernel.stat(s["f"]).permissions
                let allowed = before == 0o2767 ? [0o2767, 0o767] : [after]
                s.that(
                    allowed.contains(Int(found)),
                    "\(String(before, radix: 8)) became \(String(found, radix: 8))")
                try Kernel.unlink(s["f"])
            }
        },
        PosixCase("privileges.write", "truncation and fallocate by a stranger clear setuid", needsRoot: true)
        { s in
            for way in ["truncate", "ftruncate", "O_TRUNC", "fallocate"] {
                try s.make(s["f"], "abc")
                try Kernel.chmod(s["f"], 0o6777)
                try Threads.become(stranger, stranger) {
                    if way == "truncate" { return try Kernel.truncate(s["f"], 1) }
                    let fd = try Kernel.open(s["f"], way == "O_TRUNC" ? O_WRONLY | O_TRUNC : O_WRONLY)
                    if way == "ftruncate" { try Kernel.truncate(fd, 1) }
                    if way == "fallocate" { try Kernel.fallocate(fd, 0, 0, 100) }
                    try Kernel.close(fd)
                }
                s.equal(try Kernel.stat(s["f"]).permissions, 0o777, way)
                try Kernel.unlink(s["f"])
            }
        },
        PosixCase(
            "privileges.write", "the owner's own write clears them too, without privilege", needsRoot: true
        ) { s in
            for (before, after) in [(0o6755, 0o755), (0o2745, 0o2745)] as [(UInt32, UInt32)] {
                try s.make(s["f"], "abc")
                try Kernel.chown(s["f"], stranger, stranger)
                try Kernel.chmod(s["f"], before)
                try Threads.become(stranger, stranger) {
                    let fd = try Kernel.open(s["f"], O_WRONLY)
                    try Kernel.write(fd, [1])
                    try Kernel.close(fd)
                }
                s.equal(try Kernel.stat(s["f"]).permissions, after)
                try Kernel.unlink(s["f"])
            }
        },
        PosixCase("privileges.write", "a copy into a file by a stranger clears setuid", needsRoot: true) {
            s in
            try s.make(s["a"], "abc")
            try Kernel.chmod(s["a"], 0o644)
            for way in ["copy_file_range", "sendfile"] {
                try s.make(s["f"], "xyz")
                try Kernel.chmod(s["f"], 0o6777)
                try Threads.become(stranger, stranger) {
                    let source = try Kernel.open(s["a"], O_RDONLY)
                    let target = try Kernel.open(s["f"], O_WRONLY)
                    if way == "sendfile" {
                        try Kernel.call { linux_sendfile(target, source, 0, 3) }
                    } else {
                        s.equal(try Kernel.copyRange(source, at: 0, target, at: 0, 3), 3)
                    }
                    try Kernel.close(source)
                    try Kernel.close(target)
                }
                s.equal(try Kernel.stat(s["f"]).permissions, 0o777, way)
                try Kernel.unlink(s["f"])
            }
        },
        PosixCase("privileges.write", "punching a hole by a stranger clears setuid", needsRoot: true) { s in
            try s.make(s["f"], [UInt8](repeating: 1, count: 10_000))
            try Kernel.chmod(s["f"], 0o6777)
            try Threads.become(stranger, stranger) {
                let fd = try Kernel.open(s["f"], O_WRONLY)
                try Kernel.fallocate(fd, linux_falloc_punch_hole | linux_falloc_keep_size, 0, 4096)
                try Kernel.close(fd)
            }
            s.equal(try Kernel.stat(s["f"]).permissions, 0o777)
        },
        PosixCase(
            "privileges.capability", "whoever writes, truncates or chowns takes file capabilities",
            needsRoot: true
        ) { s in
            // Version 2, with CAP_NET_RAW permitted and effective.
            let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0] + [UInt8](repeating: 0, count: 12)
            for way in ["write", "truncate", "chown"] {
                try s.make(s["f"], "abc")
                try Kernel.setXattr(s["f"], "security.capability", capability)
                s.equal(try Kernel.xattr(s["f"], "security.capability"), capability)
                switch way {
                case "write": try s.make(s["f"], "xyz")
                case "truncate": try Kernel.truncate(s["f"], 1)
                default: try Kernel.chown(s["f"], 5, 5)
                }
                s.fails(ENODATA, way) { try Kernel.xattr(s["f"], "security.capability") }
                try Kernel.unlink(s["f"])
            }
        },
        PosixCase("privileges.root", "a write by root keeps setuid and setgid", needsRoot: true) { s in
            try s.make(s["f"], "abc")
            try Kernel.chmod(s["f"], 0o6755)
            let fd = try s.open(s["f"], O_WRONLY)
            try Kernel.write(fd, [1])
            s.equal(try Kernel.stat(fd).permissions, 0o6755)
        },
        PosixCase(
            "privileges.chown", "chown clears setuid and setgid of a file, and leaves a directory's",
            needsRoot: true
        ) { s in
            try s.make(s["f"])
            try Kernel.chmod(s["f"], 0o6755)
            try Kernel.chown(s["f"], 5, 5)
            s.equal(try Kernel.stat(s["f"]).permissions, 0o755)
            try Kernel.chmod(s["f"], 0o6755)
            try Kernel.chown(s["f"], .max, .max)
            s.equal(try Kernel.stat(s["f"]).permissions, 0o755, "also one that changes nothing")
            try Kernel.mkdir(s["d"])
            try Kernel.chmod(s["d"], 0o2755)
            try Kernel.chown(s["d"], 5, 5)
            s.equal(try Kernel.stat(s["d"]).permissions, 0o2755)
        },
        PosixCase("privileges.chmod", "chmod by an owner outside of the group drops setgid", needsRoot: true)
        { s in
            try s.make(s["f"])
            try Kernel.chown(s["f"], stranger, 77)
            try Threads.become(stranger, stranger) { try Kernel.chmod(s["f"], 0o2755) }
            s.equal(try Kernel.stat(s["f"]).permissions, 0o755)
            try Threads.become(stranger, 77) { try Kernel.chmod(s["f"], 0o2755) }
            s.equal(try Kernel.stat(s["f"]).permissions, 0o2755)
        },
    ]
}
