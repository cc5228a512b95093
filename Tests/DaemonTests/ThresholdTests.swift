import Basics
import Control
import Daemon
import Glibc
import Support
import Testing

@Suite("thresholds", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct ThresholdTests {
    /// Makes a file of so many bytes.
    private func allocate(_ bytes: Int, _ file: String) {
        let code = Program.spawnAndWait(
            "/usr/bin/fallocate", ["fallocate", "-l", "\(bytes)", file], into: "/dev/null")
        #expect(code == 0, "\(bytes) bytes for \(file)")
    }

    private func lines(_ mount: Mounted, with words: String) -> Int {
        mount.err.split(separator: "\n").count { $0.contains(words) }
    }

    private func expectLine(
        _ mount: Mounted, _ words: String, times: Int = 1, at location: SourceLocation = #_sourceLocation
    ) {
        _ = Patience.until { lines(mount, with: words) >= times }
        #expect(lines(mount, with: words) == times, "\(words): \(mount.err)", sourceLocation: location)
    }

    /// Waits for a file of the test's own.
    private func content(of file: String) -> String? {
        for _ in 0..<400 {
            if let text = try? Files.text(of: file), text.hasSuffix("\n") { return text }
            ProcessWatch.pause(milliseconds: 50)
        }
        return nil
    }

    private func script(_ folder: String, _ lines: String) throws -> String {
        let path = "\(folder)/hook"
        let descriptor = try Files.create(path)
        try Files.write(Array("#!/bin/sh\n\(lines)\n".utf8), to: descriptor)
        close(descriptor)
        #expect(unsafe chmod(path, 0o755) == 0)
        return path
    }

    /// Rule: limits.thresholds
    @Test("each threshold is told when it is passed upwards, and again only after use has fallen below it")
    func bytes() throws {
        let mount = Mounted(["--size", "10M"])
        try #require(mount.isReady)
        let mebibyte = 1 << 20
        let (base, more) = ("\(mount.mountpoint)/base", "\(mount.mountpoint)/more")
        allocate(8 * mebibyte + 1000, base)
        expectLine(mount, "\(mount.mountpoint) has come to 80 % of its 10 MiB: 8 MiB in use")
        // Four points below are not five.
        #expect(unsafe truncate(base, 7 * mebibyte + 700_000) == 0)
        try awaitLook(on: mount, 1)
        allocate(8 * mebibyte + 1000, base)
        try awaitLook(on: mount, 2)
        allocate(mebibyte, more)
        expectLine(mount, "has come to 90 % of its 10 MiB")
        #expect(lines(mount, with: "to 80 % of its 10") == 1)
        // Passed and left again while nobody looked.
        try Files.remove(base)
        try Files.remove(more)
        allocate(9 * mebibyte + 800_000, base)
        try Files.remove(base)
        expectLine(mount, "has come to 95 % of its 10 MiB")
        #expect(
            lines(mount, with: "to 80 % of its 10") == 1 && lines(mount, with: "90 %") == 1, "\(mount.err)")
        awaitLittleUse(of: mount)
        try awaitLook(on: mount, 3)
        allocate(8 * mebibyte + 1000, base)
        expectLine(mount, "has come to 80 % of its 10 MiB", times: 2)
    }

    /// Returns when all that was there a moment ago has been looked at: a limit of another directory has come
    /// to a threshold since, and was told.
    private func awaitLook(on mount: Mounted, _ number: Int) throws {
        let job = "\(mount.mountpoint)/look\(number)"
        try Files.makeFolder(job, mode: 0o755)
        #expect(Program.run(["quota", "set", job, "--max-nodes", "1"]).code == 0)
        expectLine(mount, "\(job) has come to 95 % of its quota of 1 node:")
    }

    /// Removed files are forgotten a moment later.
    private func awaitLittleUse(of mount: Mounted) {
        for _ in 0..<200 {
            guard let entry = mount.entry, let status = try? Client.status(of: entry) else { return }
            if status.usedBytes < 1 << 20 { return }
            ProcessWatch.pause(milliseconds: 20)
        }
    }

    @Test("nodes, directories' quotas, and limits that are changed count as well")
    func others() throws {
        let mount = Mounted(["--size", "64M", "--max-nodes", "20", "-o", "thresholds=50:75"])
        try #require(mount.isReady)
        let job = "\(mount.mountpoint)/job"
        try Files.makeFolder(job, mode: 0o755)
        #expect(Program.run(["quota", "set", job, "--size", "4M", "--max-nodes", "4"]).code == 0)
        allocate(3 << 20, "\(job)/f")
        expectLine(mount, "\(job) has come to 75 % of its quota of 4 MiB")
        expectLine(mount, "\(job) has come to 50 % of its quota of 4 nodes: 2 in use")
        for name in 1...7 { try Files.makeFolder("\(mount.mountpoint)/\(name)", mode: 0o755) }
        expectLine(mount, "\(mount.mountpoint) has come to 50 % of its 20 nodes: 10 in use")
        #expect(Program.run(["resize", mount.mountpoint, "4M"]).code == 0)
        expectLine(mount, "\(mount.mountpoint) has come to 75 % of its 4 MiB: 3 MiB in use")
    }

    @Test("without thresholds nothing is said")
    func none() throws {
        let mount = Mounted(["--size", "4M", "--thresholds", "none"])
        try #require(mount.isReady)
        allocate(4_100_000, "\(mount.mountpoint)/f")
        // Another that began later has told meanwhile.
        let other = Mounted(["--size", "4M"])
        try #require(other.isReady)
        allocate(4_000_000, "\(other.mountpoint)/f")
        expectLine(other, "has come to 95 %")
        kill(mount.process, SIGTERM)
        #expect(mount.code() == 0)
        #expect(lines(mount, with: "has come to") == 0)
    }

    @Test("the hook gets the figures, and nothing else of ours")
    func hook() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let hook = try script(
            folder,
            """
            place=$(readlink /proc/$$/cwd)
            others=$(ls -l /proc/$$/fd | grep -- '->' | grep -vc -e /dev/null -e \(folder) -e pipe:)
            { echo "$place $others $#"; grep -e SigIgn -e SigBlk /proc/self/status; } >\(folder)/rest
            tr '\\0' '\\n' </proc/$$/environ | sort >\(folder)/environment
            mv \(folder)/environment \(folder)/heard
            """)
        let mount = Mounted(
            ["--size", "8M", "--threshold-hook", hook, "--thresholds", "75,90"], environment: ["SECRET=1"])
        try #require(mount.isReady)
        let job = "\(mount.mountpoint)/a job"
        try Files.makeFolder(job, mode: 0o755)
        #expect(Program.run(["quota", "set", job, "--size", "2M"]).code == 0)
        allocate(1_900_000, "\(job)/f")
        let heard = try #require(content(of: "\(folder)/heard"))
        let lines = heard.split(separator: "\n").map(String.init)
        let used = lines.first { $0.hasPrefix("DMEMFS_USED=") }?.dropFirst("DMEMFS_USED=".count)
        #expect(used.flatMap { Int($0) }.map { $0 >= 1_900_000 && $0 <= 2 << 20 } == true, "\(heard)")
        let rest = lines.filter { !$0.hasPrefix("DMEMFS_USED=") }
        #expect(
            rest == [
                "DMEMFS_DIRECTORY=a job", "DMEMFS_KIND=bytes", "DMEMFS_LIMIT=2097152",
                "DMEMFS_MOUNTPOINT=\(mount.mountpoint)", "DMEMFS_THRESHOLD=90", "DMEMFS_USER=",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ], "\(heard)")
        let told = try Files.text(of: "\(folder)/rest")
        // The C library keeps two signals to itself.
        let signals = "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n"
        #expect(told == "/ 0 0\n\(signals)", "\(told)")
    }

    @Test("a hook that does not end is killed with all that it has started, and the mount goes on")
    func slowHook() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let hook = try script(
            folder,
            "sleep 1000 & echo $! >\(folder)/child.new; mv \(folder)/child.new \(folder)/child; wait")
        let mount = Mounted(["--size", "8M", "--threshold-hook", hook])
        try #require(mount.isReady)
        allocate(7 << 20, "\(mount.mountpoint)/f")
        let child = try #require(content(of: "\(folder)/child").flatMap { Int32($0.dropLast()) })
        let watch = ProcessWatch(child)
        #expect(Program.run(["status", mount.mountpoint]).code == 0)
        expectLine(mount, "\(hook) was killed after 10 s")
        #expect(watch?.awaitEnd(milliseconds: 10_000) ?? true)
        // One that fails is told of.
        _ = try script(folder, "exit 3")
        allocate(8_000_000, "\(mount.mountpoint)/f")
        expectLine(mount, "\(hook) ended with 3")
        kill(mount.process, SIGTERM)
        #expect(mount.code() == 0)
    }
}
