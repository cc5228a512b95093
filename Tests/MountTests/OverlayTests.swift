import Basics
import CLinux
import Glibc
import Support
import Testing

/// What other parts of the kernel make of a mount, and what they cannot.
@Suite(
    "On top of a mount", .serialized, .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened"))
struct OverlayTests {
    private func run(_ script: String, with program: String, in place: Path) throws -> Program.Result {
        try Program.run([program, program == "sh" ? "-euc" : "-c", script], in: place)
    }

    /// Rule: using.overlay
    @Test("an overlayfs has its upper and work directories here, and all of its kinds of change")
    func overlay() throws {
        guard geteuid() == 0 else { return print("SKIPPED: only root mounts an overlayfs") }
        let kernel = try Program.run(
            ["sh", "-c", "modprobe overlay; grep overlay /proc/filesystems"], in: "/")
        guard kernel.status == 0 else { return print("SKIPPED: this kernel has no overlayfs") }
        try MountFixture.use(["--size", "16M"]) { mount in
            let script = """
                mkdir low up work m; echo a > low/a; mkdir low/d; echo b > low/d/b
                mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work,redirect_dir=on m
                trap 'umount m' EXIT
                echo x >> m/a; rm m/d/b; mv m/d m/e; mkdir m/d; ln m/a m/c; mv m/c m/f
                test "$(cat m/a)" = "$(printf 'a\\nx')"; test -d m/e; test ! -e m/e/b; test ! -e m/d/b
                rm -r m/e; test "$(ls m | tr '\\n' ' ')" = "a d f "
                """
            let result = try run(script, with: "sh", in: mount.path)
            #expect(result.status == 0, "\(result.output)")
        }
    }

    /// Rule: using.idmap
    @Test("an idmapped mount of it is refused")
    func idmap() throws {
        guard geteuid() == 0 else { return print("SKIPPED: only root maps users") }
        // open_tree(2) and mount_setattr(2) by number: python3 has no names for them.
        let script = """
            import ctypes, errno, os, struct, subprocess
            call = ctypes.CDLL(None, use_errno=True).syscall
            child = subprocess.Popen(["unshare", "-U", "sh", "-c", "echo; exec sleep 60"], stdout=-1)
            child.stdout.readline()
            for kind in "uid", "gid": open(f"/proc/{child.pid}/{kind}_map", "w").write("0 100000 1000")
            space = os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY)
            tree = call(428, -100, os.getcwd().encode(), 1 | 0x80000)
            done = call(442, tree, b"", 0x1000, struct.pack("QQQQ", 0x100000, 0, 0, space), 32)
            child.kill(); print(tree >= 0, done, errno.errorcode.get(ctypes.get_errno()))
            """
        try MountFixture.use(["--size", "4M"]) { mount in
            let result = try run(script, with: "python3", in: mount.path)
            if result.output.contains("Operation not permitted") {
                return print("SKIPPED: no user namespaces here")
            }
            #expect(result.output == "True -1 EINVAL\n")
        }
    }

    /// Rule: using.ioctl, times.birth
    @Test("there are no file flags and no time of birth")
    func without() throws {
        let script = """
            import errno, fcntl
            f = open("f", "w")
            try: fcntl.ioctl(f, 0x80086601, bytes(8))
            except OSError as e: print(errno.errorcode[e.errno])
            """
        try MountFixture.use(["--size", "4M"]) { mount in
            let result = try run(script, with: "python3", in: mount.path)
            #expect(result.output == "ENOTTY\n")
            let birth = try Program.run(["stat", "-c", "%W", "f"], in: mount.path)
            #expect(birth.output == "0\n")
        }
    }
}
