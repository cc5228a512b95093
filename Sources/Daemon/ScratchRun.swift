import Basics
import CLinux
public import Control
import Glibc

/// One command with a filesystem of its own that ends with it: `dmemfs run`.
///
/// Two processes serve it: this one, the supervisor, which is what the caller sees of the command, and the
/// daemon, a child in a session of its own.
public enum ScratchRun {
    /// What the command left behind.
    public struct Outcome: Sendable {
        /// The command's own code, or 128 and the signal that ended it; or why it was not started.
        public let code: Int32
        /// The last figures of the filesystem; nil where its daemon did not live to tell them.
        public let status: Status?
    }

    /// Runs `command` to its end. This process must have one thread, and should end soon after.
    ///
    /// - Parameters:
    ///   - command: the program and its arguments; at least the program.
    ///   - mounting: options of `dmemfs mount` that have been found good.
    /// - Throws: why there is no filesystem; the command was not started then, and nothing is left.
    public static func run(_ command: [String], mounting: [String]) throws(Failure) -> Outcome {
        let signals = Supervision.hold()
        let folder = try ScratchFolder()
        defer { folder.remove() }
        try PrivateNamespace.enter()
        let daemon: AttachedDaemon
        do throws(Errno) {
            // Nothing could be gained in a namespace of one user: sudo and its like say so, rather than fail.
            if geteuid() != 0 { try Errno.check(linux_forbid_new_privileges()) }
            try Errno.check(linux_adopt_orphans())
            daemon = try AttachedDaemon(mounting: mounting, on: folder.path)
            let code = try daemon.awaitReady()
            guard code == 0 else { return Outcome(code: code, status: nil) }
        } catch {
            throw Failure(.bug, "cannot start the daemon: \(Wording.of(error)): 'dmemfs mount -f' shows more")
        }
        var supervision = Supervision(beside: daemon.process, holding: signals)
        let code = start(command, in: folder.path, under: &supervision)
        let left = supervision.endLeftovers(withinMilliseconds: 10_000)
        if left > 0 {
            Files.complain("dmemfs: \(left) processes that the command left do not end, even when killed")
        }
        let status = daemon.end()
        supervision.awaitServer(withinMilliseconds: 10_000)
        do throws(Errno) {
            try Unmounting.unmount(folder.path, lazily: true)
        } catch {
            // As it should be: the daemon has taken it away.
        }
        return Outcome(code: code, status: status)
    }

    /// Runs the command until it ends. Returns its code.
    private static func start(
        _ command: [String], in folder: String, under supervision: inout Supervision
    ) -> Int32 {
        for name in ["TMPDIR", "DMEMFS_DIR"] { unsafe setenv(name, folder, 1) }
        return supervision.run(command)
    }
}

/// The directory that the filesystem of `dmemfs run` is mounted on: empty, and removed at the end.
struct ScratchFolder {
    let path: String
    private let lock: Int32

    /// Makes one in TMPDIR, or else in /tmp.
    init() throws(Failure) {
        let parent = Files.environment("TMPDIR") ?? "/tmp"
        do throws(Errno) {
            path = try Files.makeTemporaryFolder(in: try Files.resolved(parent), named: "dmemfs-run")
        } catch {
            throw Failure(
                .mountFailed, "cannot make a directory in \(parent): \(Wording.of(error)): set TMPDIR")
        }
        // Whoever cleans old directories up leaves locked ones alone. To remove this one would, from outside,
        // unmount what is on it in here.
        lock = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if lock >= 0 { flock(lock, LOCK_SH) }
    }

    func remove() {
        if lock >= 0 { close(lock) }
        Self.remove(path)
    }

    /// Removes the directory, where nobody has done so already.
    static func remove(_ path: String) {
        do throws(Errno) {
            try Files.removeFolder(path)
        } catch {
            if error != .noSuchFileOrDirectory { Files.complain("dmemfs: cannot remove \(path): \(error)") }
        }
    }
}
