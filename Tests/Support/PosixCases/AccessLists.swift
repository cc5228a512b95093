import Basics
import CLinux
import Glibc

/// A POSIX ACL in the form of its xattr, as setfacl(1) would write it.
package struct AccessList {
    package static let access: Path = "system.posix_acl_access"
    package static let inherited: Path = "system.posix_acl_default"

    package var owner: Int
    package var users: [(id: UInt32, permissions: Int)] = []
    package var group: Int
    package var groups: [(id: UInt32, permissions: Int)] = []
    package var mask: Int?
    package var other: Int

    package init(owner: Int, group: Int, mask: Int? = nil, other: Int) {
        self.owner = owner
        self.group = group
        self.mask = mask
        self.other = other
    }

    /// `user` of `id` may do `permissions`, and the mask admits all.
    package static func letting(_ id: UInt32, _ permissions: Int, other: Int = 0) -> AccessList {
        var list = AccessList(owner: 6, group: 4, mask: 7, other: other)
        list.users = [(id, permissions)]
        return list
    }

    package var bytes: [UInt8] {
        var bytes: [UInt8] = [2, 0, 0, 0]
        func append(_ tag: UInt8, _ permissions: Int, _ id: UInt32 = .max) {
            bytes += [tag, 0, UInt8(permissions), 0]
            for shift in stride(from: 0, to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: id >> shift))
            }
        }
        append(1, owner)
        for user in users { append(2, user.permissions, user.id) }
        append(4, group)
        for group in groups { append(8, group.permissions, group.id) }
        if let mask { append(16, mask) }
        append(32, other)
        return bytes
    }
}

extension PosixCases {
    private static let friend: UInt32 = 1234

    /// For mounts with ACLs; a tmpfs has them where the kernel was built so.
    package static let accessLists: [PosixCase] = [
        PosixCase("acl.heeded", "a user and a group by name may do what the ACL says", needsRoot: true) { s in
            try s.make(s["f"], "abc")
            var list = AccessList(owner: 6, group: 0, mask: 6, other: 0)
            list.users = [(friend, 6)]
            list.groups = [(77, 4)]
            try Kernel.setXattr(s["f"], AccessList.access, list.bytes)
            try Threads.become(friend, friend) { try Kernel.close(try Kernel.open(s["f"], O_RDWR)) }
            try Threads.become(4321, 77) {
                try Kernel.close(try Kernel.open(s["f"], O_RDONLY))
                s.fails(EACCES, "the group may only read") { try Kernel.open(s["f"], O_WRONLY) }
            }
            try Threads.become(4321, 78) { s.fails(EACCES) { try Kernel.open(s["f"], O_RDONLY) } }
            s.equal(try Kernel.xattr(s["f"], AccessList.access), list.bytes)
            s.that(try Kernel.xattrs(s["f"]).contains("system.posix_acl_access"), "it is listed")
        },
        PosixCase("acl.heeded", "an ACL that is changed or taken away counts at once", needsRoot: true) { s in
            try Kernel.mkdir(s["d"], 0o700)
            try s.make(s["d/f"])
            for _ in 0..<20 {
                let list = AccessList.letting(friend, 5)
                try Kernel.setXattr(s["d"], AccessList.access, list.bytes)
                try Threads.become(friend, friend) { _ = try Kernel.stat(s["d/f"]) }
                try Kernel.removeXattr(s["d"], AccessList.access)
                try Threads.become(friend, friend) { s.fails(EACCES) { try Kernel.stat(s["d/f"]) } }
                try Kernel.chmod(s["d"], 0o700)
            }
            s.fails(ENODATA) { try Kernel.xattr(s["d"], AccessList.access) }
        },
        PosixCase("acl.mode", "the mode shows the mask, and chmod changes it", needsRoot: true) { s in
            try s.make(s["f"])
            var list = AccessList.letting(friend, 6)
            try Kernel.setXattr(s["f"], AccessList.access, list.bytes)
            s.equal(try Kernel.stat(s["f"]).permissions, 0o670)
            try Kernel.chmod(s["f"], 0o741)
            (list.owner, list.mask, list.other) = (7, 4, 1)
            s.equal(try Kernel.xattr(s["f"], AccessList.access), list.bytes)
            s.equal(try Kernel.stat(s["f"]).permissions, 0o741)
            try Threads.become(friend, friend) {
                try Kernel.close(try Kernel.open(s["f"], O_RDONLY))
                s.fails(EACCES, "the mask takes w away") { try Kernel.open(s["f"], O_WRONLY) }
            }
            try Kernel.removeXattr(s["f"], AccessList.access)
            s.equal(try Kernel.stat(s["f"]).permissions, 0o741)
        },
        PosixCase("acl.mode", "an ACL that says no more than a mode becomes one") { s in
            try s.make(s["f"])
            try Kernel.setXattr(s["f"], AccessList.access, AccessList.letting(friend, 6).bytes)
            let list = AccessList(owner: 7, group: 5, other: 1)
            try Kernel.setXattr(s["f"], AccessList.access, list.bytes)
            s.equal(try Kernel.stat(s["f"]).permissions, 0o751)
            s.fails(ENODATA) { try Kernel.xattr(s["f"], AccessList.access) }
            s.that(try !Kernel.xattrs(s["f"]).contains("system.posix_acl_access"), "it is not listed")
        },
        PosixCase("acl.setgid", "an ACL set by an owner outside of the group takes setgid", needsRoot: true) {
            s in
            for (group, left) in [(77, 0o2670), (78, 0o670)] as [(UInt32, UInt32)] {
                try s.make(s["f"])
                try Kernel.chown(s["f"], friend, 77)
                try Kernel.chmod(s["f"], 0o2770)
                let list = AccessList.letting(4321, 6)
                try Threads.become(friend, group) {
                    try Kernel.setXattr(s["f"], AccessList.access, list.bytes)
                }
                s.equal(try Kernel.stat(s["f"]).permissions, left)
                try Kernel.unlink(s["f"])
            }
            try s.make(s["f"])
            try Kernel.chmod(s["f"], 0o6770)
            try Kernel.setXattr(s["f"], AccessList.access, AccessList.letting(friend, 6).bytes)
            s.equal(try Kernel.stat(s["f"]).permissions, 0o6670, "root's keeps both")
        },
        PosixCase("acl.inherited", "a default ACL goes to all that is made, whatever the umask") { s in
            _ = umask(0o077)
            try Kernel.mkdir(s["d"])
            var list = AccessList.letting(friend, 7)
            list.owner = 7
            try Kernel.setXattr(s["d"], AccessList.inherited, list.bytes)
            try s.close(try s.open(s["d/f"], O_WRONLY | O_CREAT, 0o666))
            try Kernel.mkdir(s["d/d"], 0o777)
            try Kernel.mknod(s["d/p"], S_IFIFO | 0o640)
            try Kernel.symlink("x", s["d/l"])
            let fd = try s.open(s["d"], linux_o_tmpfile | O_RDWR, 0o660)
            try Kernel.linkat(AT_FDCWD, Path("/proc/self/fd/\(fd)"), s["d/t"], flags: AT_SYMLINK_FOLLOW)
            let modes: [(String, UInt32, Int, Int)] = [
                ("f", 0o660, 6, 6), ("d", 0o770, 7, 7), ("p", 0o640, 6, 4), ("t", 0o660, 6, 6),
            ]
            for (name, mode, owner, mask) in modes {
                s.equal(try Kernel.stat(s["d/\(name)"]).permissions, mode, name)
                (list.owner, list.mask) = (owner, mask)
                s.equal(try Kernel.xattr(s["d/\(name)"], AccessList.access), list.bytes, name)
            }
            (list.owner, list.mask) = (7, 7)
            s.equal(try Kernel.xattr(s["d/d"], AccessList.inherited), list.bytes)
            s.fails(ENODATA) { try Kernel.xattr(s["d/f"], AccessList.inherited) }
            s.equal(try Kernel.lstat(s["d/l"]).permissions, 0o777)
        },
        PosixCase("acl.inherited", "a default ACL that says no more than a mode leaves none") { s in
            _ = umask(0o077)
            try Kernel.mkdir(s["d"])
            let list = AccessList(owner: 7, group: 5, other: 4)
            try Kernel.setXattr(s["d"], AccessList.inherited, list.bytes)
            try s.close(try s.open(s["d/f"], O_WRONLY | O_CREAT, 0o666))
            s.equal(try Kernel.stat(s["d/f"]).permissions, 0o644)
            s.fails(ENODATA) { try Kernel.xattr(s["d/f"], AccessList.access) }
            try Kernel.removeXattr(s["d"], AccessList.inherited)
            try s.close(try s.open(s["d/g"], O_WRONLY | O_CREAT, 0o666))
            s.equal(try Kernel.stat(s["d/g"]).permissions, 0o600, "without one the umask counts again")
        },
        PosixCase("acl.refused", "a default ACL is for directories, and nonsense is EINVAL") { s in
            try s.make(s["f"])
            let list = AccessList.letting(friend, 6)
            s.fails(EACCES) { try Kernel.setXattr(s["f"], AccessList.inherited, list.bytes) }
            try Kernel.symlink("f", s["l"])
            s.fails(EOPNOTSUPP) { try Kernel.setXattr(s["l"], AccessList.access, list.bytes) }
            var maskless = list
            maskless.mask = nil
            for bytes in [maskless.bytes, Array(list.bytes.dropLast(8)), [1] + list.bytes] {
                s.fails(anyOf: [EINVAL, EOPNOTSUPP]) {
                    try Kernel.setXattr(s["f"], AccessList.access, bytes)
                }
            }
            s.fails(ENODATA) { try Kernel.xattr(s["f"], AccessList.access) }
            s.equal(try Kernel.stat(s["f"]).permissions, 0o644)
        },
        PosixCase("acl.refused", "only the owner sets an ACL", needsRoot: true) { s in
            try s.make(s["f"])
            try Kernel.chmod(s["f"], 0o666)
            try Threads.become(friend, friend) {
                let list = AccessList.letting(friend, 7)
                s.fails(EPERM) { try Kernel.setXattr(s["f"], AccessList.access, list.bytes) }
                try Kernel.close(try Kernel.open(s["own"], O_WRONLY | O_CREAT))
                try Kernel.setXattr(s["own"], AccessList.access, AccessList.letting(4321, 6).bytes)
            }
            s.equal(try Kernel.stat(s["f"]).permissions, 0o666)
        },
        PosixCase("acl.kept", "an ACL moves the ctime alone, and stays through rename, link and write") { s in
            try s.make(s["f"], "abc")
            let list = AccessList.letting(friend, 6)
            try s.times(of: s["f"], modified: false, changed: true, "setting") {
                try Kernel.setXattr(s["f"], AccessList.access, list.bytes)
            }
            try Kernel.rename(s["f"], s["g"])
            try Kernel.link(s["g"], s["h"])
            try s.make(s["h"], "other")
            try Kernel.setXattr(s["h"], "user.a", [1])
            s.equal(try Kernel.xattr(s["g"], AccessList.access), list.bytes)
            try s.times(of: s["g"], modified: false, changed: true, "removing") {
                try Kernel.removeXattr(s["g"], AccessList.access)
            }
        },
        PosixCase("acl.kept", "setfacl, getfacl, cp and tar work with them") { s in
            let script = """
                touch f; setfacl -m u:1234:rw,g:77:r f; mkdir d; setfacl -d -m u:1234:rwx d; mkdir d/e
                test "$(getfacl -cn f | grep -c 1234)" = 1; getfacl -cn d/e | grep -q default:user:1234:rwx
                cp -a f g; cp -a d e; tar --acls -cf t.tar f d; mkdir x; tar --acls -C x -xf t.tar
                for i in g x/f; do test "$(getfacl -cn $i)" = "$(getfacl -cn f)"; done
                for i in e x/d; do test "$(getfacl -cn $i/e)" = "$(getfacl -cn d/e)"; done
                setfacl -b f; test "$(getfacl -cn f | wc -l)" = 4; setfacl -k d
                """
            let missing = Program.missing(["setfacl", "getfacl", "tar"])
            if !missing.isEmpty { return print("SKIPPED: \(missing) not installed") }
            let result = try Program.run(["sh", "-euxc", script], in: s.directory)
            s.equal(result.status, 0, result.output)
        },
    ]
}
