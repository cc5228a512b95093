import Glibc
import Support
import Testing

/// What other parts of the kernel do with a mount: each script runs on a tmpfs first, which must take it.
@Suite(
    "What the kernel builds on a mount", .serialized,
    .enabled(if: MountFixture.canMount && geteuid() == 0, "root and /dev/fuse are needed"))
struct StackingTests {
    /// Runs a shell script in mount namespaces of their own, with a tmpfs as `$PLACE` and then with a mount.
    /// It ends with 77 where the machine cannot do it at all. `refused` runs what must fail.
    private func works(_ needed: [String], _ script: String) throws {
        let missing = Program.missing(needed + ["unshare", "mount"])
        if !missing.isEmpty { return print("SKIPPED: \(missing.joined(separator: ", ")) not installed") }
        func run(_ script: String, in place: Path) throws -> Program.Result {
            try Program.run(
                ["unshare", "-m", "sh", "-euc", Self.helpers + script], in: "/", adding: ["PLACE=\(place)"],
                seconds: 120)
        }
        let bare = try PlainDirectory.makeTemporary(below: "/tmp")
        defer { try? Kernel.rmdir(bare) }
        let control = try run("mount -t tmpfs none $PLACE; " + script, in: bare)
        if control.status == 77 {
            return print("SKIPPED: this machine does not do it on tmpfs: \(control.output.suffix(500))")
        }
        #expect(control.status == 0, "on tmpfs: \(control.output.suffix(2000))")
        try MountFixture.use(["--size", "1G", "-o", "suid,dev"]) { mount in
            let result = try run(script, in: mount.path)
            #expect(result.status == 0, "\(result.output.suffix(2000))")
        }
    }

    private static let helpers = """
        refused() { if "$@" 2> /dev/null; then echo "not refused: $*"; exit 1; fi; }
        as() { id=$1; shift; setpriv --reuid $id --regid $id --clear-groups "$@"; }

        """

    /// Rule: using.overlay
    @Test("an overlay keeps its upper and work directories on a mount: copies, whiteouts, opaque directories")
    func overlay() throws {
        try works(
            ["getfattr", "setfattr", "diff"],
            """
            cd $PLACE; mkdir lower upper work merged; cp -a /usr/include/linux lower/d; echo a > lower/a
            directories=lowerdir=lower,upperdir=upper,workdir=work
            mount -t overlay none -o $directories,redirect_dir=on merged || exit 77
            trap 'cd /; umount $PLACE/merged' EXIT; cd merged
            echo b >> a; test "$(cat ../lower/a)" = a; test "$(wc -l < ../upper/a)" = 2
            setfattr -n user.x -v 1 a; ln a hard; test "$(getfattr --only-values -n user.x hard)" = 1
            mv a moved; test ! -e a; test "$(stat -c '%F %t,%T' ../upper/a)" = 'character special file 0,0'
            test -z "$(getfattr -d -m - moved | grep trusted.overlay)"
            mv d e; test -e e/types.h; mv e d
            rm d/types.h; test ! -e d/types.h; test -e ../lower/d/types.h
            rm -rf d; mkdir d; test -z "$(ls -A d)"
            test "$(getfattr --only-values -n trusted.overlay.opaque ../upper/d)" = y
            cp -a /usr/include/linux/. d/; diff -r d ../lower/d
            """)
    }

    /// Rule: using.idmap, xattrs.users
    @Test("a bind of a mount with other IDs: files belong to who makes them, on either side of the mapping")
    func identityMapping() throws {
        guard try Self.kernelIs(atLeast: (6, 12)) else {
            return print("SKIPPED: before Linux 6.12 a FUSE filesystem cannot be mounted with other IDs")
        }
        try works(
            ["python3", "setpriv", "getfattr", "setfattr"],
            #"""
            cd $PLACE; mkdir -m 1777 there; mkdir here
            # In the bind, the IDs 100000 and up stand for the IDs 0 and up of the filesystem.
            python3 - <<'END'
            import ctypes, os
            libc = ctypes.CDLL(None, use_errno=True)
            def call(number, *arguments):
                result = libc.syscall(number, *arguments)
                if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
                return result
            told, tell = os.pipe()
            child = os.fork()
            if child == 0:
                if libc.unshare(0x10000000) == 0: os.write(tell, b"x")
                os.read(os.pipe()[0], 1)
            assert os.read(told, 1) == b"x"
            for name in "uid_map", "gid_map":
                with open(f"/proc/{child}/{name}", "w") as file: file.write("0 100000 65536")
            class Attributes(ctypes.Structure):
                _fields_ = [(n, ctypes.c_uint64) for n in ("set", "clear", "propagation", "namespace")]
            space = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
            tree = call(428, -100, b"there", 1)
            mapping = Attributes(set=0x100000, namespace=space)
            try:
                try: call(442, tree, b"", 0x1000, ctypes.byref(mapping), ctypes.sizeof(mapping))
                except OSError as error: print(error); raise SystemExit(77)
                call(429, tree, b"", -100, b"here", 4)
            finally:
                os.kill(child, 9)
            END
            trap 'cd /; umount $PLACE/here' EXIT
            as 101000 sh -euc '
                cd here; echo a > f; mkdir d; ln -s f l; mkfifo p; mv f g; ln g h
                test "$(stat -c %u:%g g d l p | uniq)" = 101000:101000
                chmod 640 g; echo b >> g; truncate -s 3 g; setfattr -n user.x -v 1 g; touch -d 2001-01-01 g'
            test "$(stat -c %u:%g there/g there/d there/l there/p | uniq)" = 1000:1000
            as 1000 cat there/g; test "$(as 1000 getfattr --only-values -n user.x there/g)" = 1
            refused as 1000 cat here/g; refused as 101000 cat there/g; refused as 5 touch here/new
            chown 101001:101002 here/g; test "$(stat -c %u:%g there/g)" = 1001:1002
            refused chown 5 here/g
            setfattr -n trusted.x -v 1 there/g; getfattr -d -m - here/g | grep -q trusted.x
            as 101001 getfattr -d -m - here/g | { refused grep trusted; }
            """#)
    }

    /// Rule: using.handles
    @Test("a file handle finds its file when the kernel has forgotten it, and no other once it is gone")
    func handles() throws {
        try works(
            ["python3"],
            #"""
            cd $PLACE; cat > run.py <<'END'
            import ctypes, errno, os
            libc = ctypes.CDLL(None, use_errno=True)
            class Handle(ctypes.Structure):
                _fields_ = [("bytes", ctypes.c_uint32), ("type", ctypes.c_int), ("data", ctypes.c_char * 128)]
            def handle(path):
                handle, mount = Handle(bytes=128), ctypes.c_int()
                if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(handle), ctypes.byref(mount), 0):
                    raise OSError(ctypes.get_errno(), path)
                return handle
            place = os.open(".", os.O_RDONLY)
            def opened(handle, flags=os.O_RDONLY):
                fd = libc.open_by_handle_at(place, ctypes.byref(handle), flags)
                if fd < 0: raise OSError(ctypes.get_errno(), "open_by_handle_at")
                return fd
            def forget():
                with open("/proc/sys/vm/drop_caches", "w") as file: file.write("2")
            os.makedirs("a/b")
            for name in "kept", "moved", "gone": open("a/b/" + name, "w").write(name)
            handles = {name: handle("a/b/" + name) for name in ("kept", "moved", "gone")}
            directory = handle("a/b")
            forget()
            assert os.read(opened(handles["kept"]), 9) == b"kept"
            os.rename("a/b/moved", "moved"); os.remove("a/b/gone"); forget()
            assert os.read(opened(handles["moved"]), 9) == b"moved"
            for name in "new", "newer": open(name, "w").write(name)
            try: opened(handles["gone"]); raise SystemExit("a file that is gone was opened")
            except OSError as error: assert error.errno == errno.ESTALE, error
            forget()
            fd = opened(directory, os.O_RDONLY | os.O_DIRECTORY)
            assert sorted(os.listdir(fd)) == ["kept"]
            # Its path can be told by going up from it.
            assert os.readlink(f"/proc/self/fd/{fd}").endswith("/a/b"), os.readlink(f"/proc/self/fd/{fd}")
            assert os.stat("..", dir_fd=fd).st_ino == os.stat("a").st_ino
            END
            python3 run.py
            """#)
    }

    /// Rule: using.ioctl, using.poll, times.birth
    @Test("there are no file flags and no time of birth, and epoll takes a file")
    func without() throws {
        let script = """
            import errno, fcntl, select
            f = open("f", "w")
            e = select.epoll(); e.register(f, select.EPOLLOUT)
            assert e.poll(60) == [(f.fileno(), select.EPOLLOUT)]
            try: fcntl.ioctl(f, 0x80086601, bytes(8))
            except OSError as e: print(errno.errorcode[e.errno])
            """
        try MountFixture.use(["--size", "4M"]) { mount in
            let result = try Program.run(["python3", "-c", script], in: mount.path)
            #expect(result.output == "ENOTTY\n")
            let birth = try Program.run(["stat", "-c", "%W", "f"], in: mount.path)
            #expect(birth.output == "0\n")
        }
    }

    private static func kernelIs(atLeast wanted: (Int, Int)) throws -> Bool {
        let release = try Program.run(["uname", "-r"], in: "/").output
        let numbers = release.split { !$0.isNumber }.prefix(2).map { Int($0) ?? 0 }
        return numbers.count == 2 && (numbers[0], numbers[1]) >= wanted
    }
}
