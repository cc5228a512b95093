import Basics
import CLinux
import Glibc
import Support
import Testing

@Suite(
    "A frozen mount", .serialized,
    .enabled(if: MountFixture.canMount && geteuid() == 0, "root and /dev/fuse are needed"))
struct FreezeTests {
    /// What waits: a program that prepares, what it does, and what must be true after, in a directory of its
    /// own.
    private static let writers: [String: (before: String, act: String, after: String)] = [
        "write": ("put('f', 'old')", "put('f', 'new', flags=os.O_WRONLY)", "get('f') == 'new'"),
        "append": (
            "put('f', 'old')", "put('f', 'new', flags=os.O_WRONLY | os.O_APPEND)", "get('f') == 'oldnew'"
        ),
        "truncate": ("put('f', 'old')", "os.truncate('f', 1)", "get('f') == 'o'"),
        "over": ("put('f', 'old')", "put('f', 'new!', flags=os.O_WRONLY | os.O_TRUNC)", "get('f') == 'new!'"),
        "create": ("", "put('f', 'new', flags=os.O_WRONLY | os.O_CREAT | os.O_EXCL)", "get('f') == 'new'"),
        "mkdir": ("", "os.mkdir('d')", "os.listdir('d') == []"),
        "mknod": ("", "os.mkfifo('p')", "stat.S_ISFIFO(os.stat('p').st_mode)"),
        "symlink": ("", "os.symlink('x', 's')", "os.readlink('s') == 'x'"),
        "link": ("put('f', 'old')", "os.link('f', 'g')", "os.stat('g').st_nlink == 2"),
        "unlink": ("put('f', 'old')", "os.unlink('f')", "os.listdir('.') == []"),
        "rmdir": ("os.mkdir('d')", "os.rmdir('d')", "os.listdir('.') == []"),
        "rename": ("put('f', 'old')", "os.rename('f', 'g')", "os.listdir('.') == ['g']"),
        "exchange": (
            "put('f', 'old'); os.mkdir('d')", "libc.renameat2(-100, b'f', -100, b'd', 2)",
            "get('d') == 'old'"
        ),
        "chmod": ("put('f', 'old')", "os.chmod('f', 0o600)", "os.stat('f').st_mode & 0o777 == 0o600"),
        "times": ("put('f', 'old')", "os.utime('f', (1, 1))", "os.stat('f').st_mtime == 1"),
        "setxattr": (
            "put('f', 'old')", "os.setxattr('f', 'user.x', b'1')", "os.getxattr('f', 'user.x') == b'1'"
        ),
        "removexattr": (
            "put('f', 'old'); os.setxattr('f', 'user.x', b'1')", "os.removexattr('f', 'user.x')",
            "os.listxattr('f') == []"
        ),
        "fallocate": (
            "put('f', 'old')", "os.posix_fallocate(os.open('f', os.O_WRONLY), 0, 9)",
            "os.stat('f').st_size == 9"
        ),
        "copy": (
            "put('f', 'old'); put('g', '')",
            "os.copy_file_range(os.open('f', os.O_RDONLY), os.open('g', os.O_WRONLY), 3)", "get('g') == 'old'"
        ),
        "nameless": (
            "",
            "fd = os.open('.', os.O_TMPFILE | os.O_RDWR); os.write(fd, b'new'); "
                + "libc.linkat(-100, b'/proc/self/fd/%d' % fd, -100, b'f', 0x400)",
            "get('f') == 'new'"
        ),
    ]

    /// What can be seen of each file, its contents included, but not the size of directories.
    private static let describe = """
        set -eu; cd "$1"
        find . -type d -printf '%P %y %m %U:%G %T@ %n\\n' -o -printf '%P %y %m %U:%G %T@ %n %s %l\\n' | sort
        find . -type f -print0 | sort -z | xargs -0r sha256sum; getfattr -R -d -m user . | sort
        """

    /// Rule: frozen.waits, frozen.view
    @Test(
        "changes of every kind wait, a copy made meanwhile is what was there, and then all are made",
        arguments: MountFixture.ledgerEngines)
    func copyOfOneMoment(engine: String) throws {
        let place = try FrozenScene(["--size", "64M", "--io", engine])
        defer { place.clear() }
        try place.python(
            Self.writers.map { "os.mkdir('../\($0)'); os.chdir('../\($0)'); \($1.before)" }
                .joined(separator: "\n"), in: try place.makeFolder("tree"))
        try place.shell("cp -a /usr/include/asm-generic \(place.mount.path)/tree")
        let before = try place.shell(Self.describe, place.mount.path)
        let client = try place.freezing(
            "until [ -e go ]; do sleep 0.02; done; cp -a \(place.mount.path) copy")
        try place.awaitFreeze()
        // Forked, as twenty programs take long to start on a busy machine.
        let writers = try place.startPython(
            """
            def start(name, act):
                child = os.fork()
                if child > 0: return child
                try:
                    os.chdir(name)
                    exec(act, globals())
                    os._exit(0)
                except BaseException as error:
                    os.write(2, f'{name}: {error}'.encode())
                    os._exit(1)
            \(Self.writers.map { "start('\($0)', \"\($1.act)\")" }.joined(separator: "\n"))
            assert [os.wait()[1] for _ in range(\(Self.writers.count))] == [0] * \(Self.writers.count)
            """)
        try place.awaitParked(Self.writers.count)
        // Who only reads goes on, where nobody waits to change the very same.
        try place.shell("cd \(place.mount.path); cat tree/*/types.h >/dev/null; ls -lR tree; df .")
        try place.shell("touch go")
        let status = try Program.wait(for: client, seconds: 60)
        #expect(status == 0, "\(place.said())")
        let copied = try place.shell(Self.describe, place.folder / "copy")
        #expect(copied == before)
        #expect(try Program.wait(for: writers, seconds: 20) == 0, "\(place.said())")
        try place.python(
            Self.writers.map { "os.chdir('../\($0)'); assert \($1.after), '\($0)'" }
                .joined(separator: "\n"), in: "tree")
        try place.end()
    }

    /// Rule: frozen.view
    @Test(
        "a copying program finds the mountpoint read-only, its exit status is returned, and nothing is left",
        arguments: MountFixture.ledgerEngines)
    func viewLeavesNothing(engine: String) throws {
        let place = try FrozenScene(["--size", "64M", "--io", engine])
        defer { place.clear() }
        let path = place.mount.path
        let start = try place.mount.status()
        try place.shell("cd \(path); mkdir d; echo a >d/f; ln -s f d/l; truncate -s 1M d/h")
        let before = try place.mount.status()
        // From within the mount: the command begins where it was called.
        let result = try place.run(
            """
            cd \(path)/d; \(place.program) freeze \(path) --timeout 20s -- sh -c '
                test "$(cat f l)" = "$(printf "a\\na")"; ! touch x 2>/dev/null; ! rm f 2>/dev/null
                test $(stat -f -c %b .) -gt 0; find . -exec stat {} + >/dev/null
                ! mountpoint -q \(path)/d; cmp h /dev/zero -n 1048576; exit 7'
            """)
        #expect(result.status == 7, "\(result.output)")
        let after = try place.mount.status()
        #expect(after["used_bytes"] == before["used_bytes"] && after["nodes"] == before["nodes"])
        try place.shell("rm -r \(path)/d")
        let left = try place.mount.settledUsage(try start.number("used_bytes"))
        #expect(left == start["used_bytes"])
        try place.end()
    }

    /// Rule: frozen.ends
    @Test("the time limit thaws; then the copying program reads nothing more, and the command line says so")
    func timeLimit() throws {
        let place = try FrozenScene(["--size", "64M"])
        defer { place.clear() }
        let client = try place.freezing(
            "while df \(place.mount.path); do sleep 0.05; done", timeout: "1500ms")
        #expect(try Program.wait(for: client, seconds: 30) == 1)
        #expect(place.said().contains("thawed before the command had ended: its time was up"))
        #expect(place.mount.said().contains(" had waited: its time was up"))
        try place.python("put('f', 'new')")
        try place.end()
    }

    /// Rule: frozen.ends
    @Test("a client that is killed thaws")
    func killedClient() throws {
        let place = try FrozenScene(["--size", "64M"])
        defer { place.clear() }
        let client = try place.freezing("exec sleep 60")
        try place.awaitFreeze()
        let writer = try place.startPython("put('f', 'new')")
        try place.awaitParked(1)
        _ = kill(client, SIGKILL)
        #expect(try Program.wait(for: writer, seconds: 20) == 0)
        try place.awaitThaw()
        // The command lives on, and sees nothing any more.
        _ = kill(-client, SIGKILL)
        _ = try Program.wait(for: client, seconds: 5)
        try place.end()
    }

    /// Rule: frozen.killed
    @Test("who waits can be killed, and gets no EINTR of a signal that he handles")
    func killedWriter() throws {
        let place = try FrozenScene(["--size", "64M"])
        defer { place.clear() }
        try place.python("put('f', 'old')")
        try place.shell("\(place.program) freeze \(place.mount.path) --timeout 50s")
        let lucky = try place.startPython(
            """
            import signal
            signal.signal(signal.SIGUSR1, lambda *_: open('\(place.folder)/seen', 'w'))
            # Python's own would try again.
            assert libc.write(os.open('f', os.O_WRONLY), b'new', 3) == 3
            """)
        try place.awaitParked(1)
        let unlucky = try place.startPython("put('g', 'new')")
        try place.awaitParked(2)
        let metrics = try place.run("\(place.program) metrics \(place.mount.path)")
        #expect(metrics.output.contains("} 2\n# HELP dmemfs_parked_bytes"))
        for child in [lucky, unlucky] { _ = kill(child, SIGUSR1) }
        #expect(try Program.wait(for: unlucky, seconds: 5) == 128 + SIGUSR1)
        try place.awaitParked(1)
        try place.shell("\(place.program) thaw \(place.mount.path)")
        #expect(try Program.wait(for: lucky, seconds: 5) == 0)
        _ = try Kernel.stat(place.folder / "seen")
        try place.python("assert get('f') == 'new' and not os.path.exists('g')")
        try place.end()
    }

    /// Rule: frozen.bounded
    @Test("what waits is bounded: beyond that the freeze ends, and says so, and no write is lost")
    func bounded() throws {
        let place = try FrozenScene(["--size", "128M"])
        defer { place.clear() }
        try place.python("for number in range(80): put(str(number), '')")
        let before = try place.mount.status()
        for _ in 0..<2 {
            let client = try place.freezing("", waiting: true)
            try place.awaitFreeze()
            let writer = try place.startPython(
                """
                import threading
                fds = [os.open(str(number), os.O_RDWR) for number in range(80)]
                block = bytes([7]) * (1 << 20)
                threads = [threading.Thread(target=os.write, args=(fd, block)) for fd in fds]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                assert all(os.pread(fd, 2 << 20, 0) == block for fd in fds)
                """)
            #expect(try Program.wait(for: writer, seconds: 30) == 0, "\(place.said())")
            #expect(try Program.wait(for: client, seconds: 20) == 1)
            #expect(place.said().contains("too much waited to be written"))
        }
        // What has waited is given back.
        let after = try place.mount.status()
        let grown = try ["resident_bytes", "used_bytes"].map { try after.number($0) - before.number($0) }
        #expect(grown[1] >= 80 << 20 && grown[0] - grown[1] < 16 << 20, "\(after)")
        try place.end()
    }

    /// Rule: frozen.ends
    @Test("a frozen mount can be unmounted, and its daemon stopped or killed: nobody hangs")
    func unmounted() throws {
        let first = try FrozenScene(["--size", "64M"])
        defer { first.clear() }
        let client = try first.freezing("while df \(first.mount.path); do sleep 0.05; done")
        try first.awaitFreeze()
        try first.end()
        #expect(try Program.wait(for: client, seconds: 20) == 1)
        #expect(first.said().contains("it was unmounted"))

        let second = try FrozenScene(["--size", "64M"])
        defer { second.clear() }
        try second.shell("\(second.program) freeze \(second.mount.path)")
        let writer = try second.startPython("put('f', 'new')")
        try second.awaitParked(1)
        _ = kill(second.mount.process, SIGTERM)
        #expect(try Program.wait(for: writer, seconds: 20) == 0)

        let third = try FrozenScene(["--size", "64M"])
        defer { third.clear() }
        try third.shell("\(third.program) freeze \(third.mount.path)")
        let loser = try third.startPython("put('f', 'new')")
        try third.awaitParked(1)
        _ = kill(third.mount.process, SIGKILL)
        #expect(try Program.wait(for: loser, seconds: 20) == 1)
        #expect(third.said().contains("[Errno "))
    }

    /// Rule: frozen.mapped
    @Test(
        "a store through a shared mapping does not wait; a copy has it in strict alone",
        arguments: MountFixture.ledgerEngines)
    func mapped(engine: String) throws {
        let place = try FrozenScene(["--size", "64M", "--io", engine])
        defer { place.clear() }
        try place.python("put('f', 'a' * 4096)")
        let client = try place.freezing(
            "until [ -e stored ]; do sleep 0.02; done; head -c 1 \(place.mount.path)/f >copied")
        try place.awaitFreeze()
        let writer = try place.startPython(
            """
            import mmap
            pages = mmap.mmap(os.open('f', os.O_RDWR), 4096)
            pages[0:1] = b'b'
            open('\(place.folder)/stored', 'w').close()
            pages.flush()
            """)
        #expect(try Program.wait(for: client, seconds: 20) == 0, "\(place.said())")
        #expect(try place.shell("cat copied") == (engine == "strict" ? "b" : "a"))
        #expect(try Program.wait(for: writer, seconds: 20) == 0)
        try place.python("assert get('f')[0] == 'b'")
        try place.end()
    }

    /// Rule: frozen.refused
    @Test("strangers may not freeze, nor what is frozen be frozen again; passthrough cannot be")
    func refused() throws {
        let place = try FrozenScene(["--size", "64M"])
        defer { place.clear() }
        let freeze = "\(place.program) freeze \(place.mount.path)"
        let thaw = "\(place.program) thaw \(place.mount.path)"
        let stranger = "setpriv --reuid=65534 --regid=65534 --clear-groups"
        for (command, status, reason) in [
            ("\(stranger) \(freeze)", 1, "permission denied: only root and the mount's owner"),
            (thaw, 1, "is not frozen"), ("\(freeze) --timeout 61m", 64, "between 1ms and an hour"),
            ("\(freeze) --timeout soon", 64, "is not a time"), ("\(freeze) --wait -- ls", 64, "leave it out"),
            ("\(freeze) -- /nowhere", 127, "cannot run '/nowhere'"),
            ("\(stranger) \(freeze) -- ls", 1, "permission denied: only root and the mount's owner"),
            ("\(freeze) -- ls >\(place.mount.path)/f", 1, "write it elsewhere"),
            (freeze, 0, "frozen until"), ("\(stranger) \(thaw)", 1, "permission denied"),
            (freeze, 1, "is already frozen until"), ("\(freeze) -- ls", 1, "is already frozen until"),
            (thaw, 0, "s, 0 requests had waited"),
        ] {
            let result = try place.run(command)
            #expect(result.status == status && result.output.contains(reason), "\(command): \(result)")
        }
        try place.end()
        guard MountFixture.engines.contains("passthrough") else { return }
        try MountFixture.use(["--size", "64M", "--io", "passthrough"]) { mount in
            let result = try Program.run([place.program, "freeze", "\(mount.path)"], in: "/")
            #expect(result.status == 1 && result.output.contains("engine passthrough"), "\(result)")
        }
    }
}
