import Basics
import Glibc
import Support
import Testing

@Suite(
    "Real programs on a mount", .serialized, .enabled(if: MountFixture.canMount, "/dev/fuse cannot be opened")
)
struct RealProgramTests {
    /// Runs a shell script on a new mount; it must succeed, and the usage must return once all is removed.
    private func works(_ needed: [String], seconds: Int = 120, _ script: String) throws {
        let missing = Program.missing(needed)
        if !missing.isEmpty { return print("SKIPPED: \(missing.joined(separator: ", ")) not installed") }
        for engine in MountFixture.engines { try works(engine, seconds, script) }
    }

    private func works(_ engine: String, _ seconds: Int, _ script: String) throws {
        try MountFixture.use(["--size", "2G", "--io", engine], seconds: seconds + 60) { mount in
            let start = try mount.usedBytes()
            let place = ["TMPDIR=\(mount.path)", "HOME=\(mount.path)", "GIT_CONFIG_GLOBAL=/dev/null"]
            let result = try Program.run(
                ["sh", "-euc", script], in: mount.path, adding: place, seconds: seconds)
            #expect(result.status == 0, "\(engine): \(result.output.suffix(2000))")
            let removed = try Program.run(
                ["find", ".", "-mindepth", "1", "-maxdepth", "1", "-exec", "rm", "-rf", "{}", "+"],
                in: mount.path)
            #expect(removed.status == 0, "\(removed.output.suffix(500))")
            let names = try Kernel.list(mount.path).map(\.text)
            #expect(names == [])
            let left = try mount.settledUsage(start)
            #expect(left == start)
        }
    }

    @Test("tar unpacks a large tree, and diff finds it the same")
    func tar() throws {
        try works(
            ["tar", "diff"], "mkdir t; tar -C /usr/include -cf - . | tar -C t -xf -; diff -r /usr/include t")
    }

    @Test("cp -a, find, du and rm agree about a tree")
    func copying() throws {
        try works(
            ["cp", "find", "du", "diff"],
            """
            cp -a /usr/include/linux a; cp -a a b; diff -r a b
            test "$(find a -type f | wc -l)" = "$(find /usr/include/linux -type f | wc -l)"
            test "$(du -s --apparent-size b | cut -f1)" = "$(du -s --apparent-size a | cut -f1)"
            touch -d '2001-02-03 04:05:06.789 UTC' a/types.h; cp -p a/types.h c
            test "$(stat -c %y c)" = "$(stat -c %y a/types.h)"
            ln a/types.h a/hard; ln -s types.h a/soft; cp -a a d
            test "$(stat -c %h d/hard)" = 2; test "$(readlink d/soft)" = types.h
            rm -rf b; test ! -e b
            """)
    }

    @Test("rsync copies a tree and finds nothing to do the second time")
    func rsync() throws {
        try works(
            ["rsync", "diff"],
            """
            rsync -aHAX /usr/include/linux/ a/; diff -r /usr/include/linux a
            rsync -aHAX a/ b/; diff -r a b; test -z "$(rsync -aHAXi a/ b/)"
            """)
    }

    @Test("git adds, commits, clones with and without hard links, checks and packs")
    func git() throws {
        try works(
            ["git", "diff"],
            """
            git init -q -b main r; cp -a /usr/include/linux r/; cd r
            git config user.name t; git config user.email t@example.org
            git add -A; git commit -q -m one; git fsck --full
            echo more >> linux/types.h; git commit -q -a -m two; git gc -q
            git status --porcelain | (! grep .)
            cd ..; git clone -q --no-hardlinks r c; git clone -q r h
            diff -r r/linux c/linux; diff -r r/linux h/linux
            git -C c fsck --full; git -C h fsck --full; git -C c fetch -q; git -C r repack -q -a -d
            """)
    }

    @Test("gcc compiles a program that runs")
    func compiling() throws {
        try works(
            ["gcc"],
            """
            printf '#include <stdio.h>\\nint main(void) { return puts("hello") < 0; }\\n' > h.c
            gcc -O1 -c h.c; gcc -o h h.o; test "$(./h)" = hello
            for i in 1 2 3 4; do cp h.c m$i.c; gcc -c m$i.c & done; wait; ls m1.o m2.o m3.o m4.o
            """)
    }

    @Test("SQLite makes 2000 transactions with a rollback journal and with a write-ahead log")
    func databases() throws {
        try works(
            ["python3"],
            """
            cat > run.py <<'END'
            import sqlite3
            for mode in ("delete", "wal"):
                db = sqlite3.connect(mode + ".db", isolation_level=None)
                assert db.execute("pragma journal_mode=" + mode).fetchone()[0] == mode
                db.execute("create table t (id integer primary key, v text)")
                other = sqlite3.connect(mode + ".db", isolation_level=None)
                for i in range(2000):
                    db.execute("begin immediate")
                    db.execute("insert into t values (?, ?)", (i, "v" * (i % 300)))
                    db.execute("commit")
                    if i % 100 == 0: assert other.execute("select count(*) from t").fetchone()[0] == i + 1
                assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
                assert other.execute("select count(*) from t").fetchone()[0] == 2000
                other.close(); db.close()
            END
            python3 run.py
            """)
    }

    @Test("python3 makes a virtual environment that works")
    func virtualEnvironment() throws {
        try works(
            ["python3"], seconds: 240,
            """
            python3 -m venv v; v/bin/pip --version
            v/bin/python -c 'import sys; assert sys.prefix.endswith("/v")'
            """
        )
    }

    @Test("shell appends, loops and temporary files work")
    func shell() throws {
        try works(
            ["mktemp", "sort", "seq"],
            """
            echo foo > f; echo bar >> f; test "$(cat f)" = "$(printf 'foo\\nbar')"
            seq 200000 > n; sort -n -S 1M -T . n | cmp - n
            d=$(mktemp -d); test -d "$d"; f=$(mktemp); test -f "$f"
            sed -i s/foo/FOO/ f; grep -q FOO f
            """)
    }
}
