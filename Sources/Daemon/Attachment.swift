import Basics
import CLinux
import Control
import Glibc

/// The daemon of `dmemfs run`, as the process that started it knows it.
///
/// A socket connects the two. What the daemon writes there first is its readiness, and last what its
/// filesystem has held. A byte to it asks it to end; where the socket just closes, who started it was killed.
struct AttachedDaemon {
    let process: pid_t
    private let socket: Int32

    /// Starts the daemon, which mounts on `folder`. The process must have one thread.
    init(mounting options: [String], on folder: String) throws(Errno) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw Errno(rawValue: errno) }
        defer { close(ends[1]) }
        socket = ends[0]
        let arguments =
            ["dmemfs", "mount", "--foreground", "--ready-fd", "3", "--attached", "--stop-timeout", "1s"]
            + options + ["--", folder]
        let isUser = geteuid() != 0
        if isUser { try Errno.check(linux_hand_down_mounting(true)) }
        process = try Spawn.start("/proc/self/exe", arguments, passing: ends[1])
        if isUser { try Errno.check(linux_hand_down_mounting(false)) }
    }

    /// Waits until the mount can be used, and returns 0; or until it has failed, and says why and returns
    /// what to end with.
    func awaitReady() throws(Errno) -> Int32 {
        try Background.outcome(of: process, on: socket)
    }

    /// Lets the daemon end, and its mount with it. Returns its last figures; nil where it does not tell.
    func end() -> Status? {
        defer { close(socket) }
        _ = unsafe linux_socket_send(socket, "e", 1)
        var answer: [UInt8] = []
        do {
            while Background.hasNews(socket, milliseconds: 10_000) {
                let part = try Files.read(socket, upTo: 4096)
                if part.isEmpty { break }
                answer += part
            }
            return try JSON.decode(Status.self, from: answer)
        } catch {
            return nil
        }
    }
}

/// The same in the daemon: its mount lives no longer than the process that started it.
extension RunningMount {
    /// Stops when who started us says so, or is gone.
    func endWithStarter() {
        if !readiness.awaitEndOfAttachment() {
            // It was killed, and could not clean up after its command.
            Descendants.killNamespace(withinMilliseconds: 5000)
        }
        kill(getpid(), SIGTERM)
    }

    /// Gives the last figures to who started us. It may be gone, so the directory is removed here.
    func leaveStarter() {
        guard readiness.isAttached else { return }
        ScratchFolder.remove(path)
        do throws(ControlError) {
            readiness.leave(with: try JSON.encode(status))
        } catch {
            readiness.leave(with: [])
        }
    }
}
