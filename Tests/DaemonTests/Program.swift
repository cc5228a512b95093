import Basics
import CLinux
import Control
import Daemon
import Glibc

/// The built program, run as a child, and what it needs around it.
enum Program {
    struct Outcome: Sendable {
        let code: Int32
        let out: String
        let err: String

        var errLines: [Substring] { err.split(separator: "\n") }
    }

    static let canMount: Bool = {
        do throws(Errno) {
            guard try Files.isDevice("/dev/fuse", major: 10, minor: 229) else { return false }
            try Files.checkOpens("/dev/fuse")
            return geteuid() == 0
        } catch {
            return false
        }
    }()

    static let mountSkip: String = "no mount here: the tests are not root, or /dev/fuse cannot be opened"

    static var isRoot: Bool { geteuid() == 0 }

    /// A copy of the program that was built beside the tests, so that a stranger may run it wherever that is.
    static let path: String = {
        let runner = (try? Files.link("/proc/self/exe")) ?? ""
        let built = runner.prefix(upTo: runner.lastIndex(of: "/") ?? runner.startIndex)
        _ = spawnAndWait("/bin/cp", ["cp", "\(built)/dmemfs", folder], into: "\(folder)/cp")
        atexit { Folder.remove(Program.folder) }
        return "\(folder)/dmemfs"
    }()

    private static let folder = Folder.make()

    /// Runs the program to its end.
    static func run(
        _ arguments: [String], asUser user: UInt32? = nil, environment: [String] = []
    ) -> Outcome {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let (file, words) = command(arguments, asUser: user, environment: environment)
        let code = spawnAndWait(file, words, into: "\(folder)/stream")
        return Outcome(
            code: code, out: (try? Files.text(of: "\(folder)/stream.out")) ?? "",
            err: (try? Files.text(of: "\(folder)/stream.err")) ?? "")
    }

    /// Starts the program and returns its process; its output goes to `log`.out and `log`.err.
    static func start(_ arguments: [String], environment: [String] = [], into log: String) -> pid_t {
        let (file, words) = command(arguments, asUser: nil, environment: environment)
        return spawn(file, words, into: log)
    }

    private static func command(
        _ arguments: [String], asUser user: UInt32?, environment: [String]
    ) -> (String, [String]) {
        var words = ["env"] + environment
        if let user {
            words += ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--"]
        }
        return ("/usr/bin/env", words + [path] + arguments)
    }

    /// Runs any program to its end and returns its code, 128 and the signal, or -1 where it took over a
    /// minute.
    static func spawnAndWait(_ file: String, _ words: [String], into log: String) -> Int32 {
        end(of: spawn(file, words, into: log))
    }

    static func end(of child: pid_t, withinMilliseconds limit: Int = 60_000) -> Int32 {
        guard child > 0, ProcessWatch(child)?.awaitEnd(milliseconds: limit) == true else {
            kill(child, SIGKILL)
            return -1
        }
        var status: Int32 = 0
        unsafe waitpid(child, &status, 0)
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    }

    static func spawn(_ file: String, _ words: [String], into log: String) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_APPEND
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, "\(log).out", flags, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, "\(log).err", flags, 0o600)
        var texts: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
        var child = pid_t()
        return unsafe posix_spawn(&child, file, &actions, nil, &texts, environ) == 0 ? child : -1
    }
}

/// A fresh folder of a test's own.
enum Folder {
    static func make() -> String {
        var name = Array(("/tmp/dmemfs-test-" + String(repeating: "X", count: 6)).utf8CString)
        let made = unsafe name.withUnsafeMutableBufferPointer { buffer -> Bool in
            guard let start = buffer.baseAddress else { return false }
            return unsafe mkdtemp(start) != nil
        }
        precondition(made, "no temporary folder")
        let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        unsafe chmod(path, 0o755)
        return path
    }

    /// Whatever is still mounted in it goes first.
    static func remove(_ path: String) {
        for entry in (try? MountTable.current().entries.reversed()) ?? []
        where entry.mountpoint == path || entry.mountpoint.hasPrefix("\(path)/") {
            try? Files.unmount(entry.mountpoint, flags: Int32(MNT_DETACH))
        }
        _ = Program.spawnAndWait("/bin/rm", ["rm", "-rf", path], into: "/dev/null")
    }
}

/// The service manager's side of readiness: a datagram socket that hears what the daemon says.
final class Manager: Sendable {
    let path: String
    private let socket: Int32

    init(in folder: String) {
        path = "\(folder)/notify"
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        precondition(bound == 0, "cannot bind \(path)")
    }

    deinit { close(socket) }

    /// The next message but for those that come by the clock; nil where none comes in time.
    func next(withinMilliseconds limit: Int = 20_000) -> String? {
        while let message = nextOfAll(withinMilliseconds: limit) {
            if !message.hasPrefix("STATUS=") && !message.hasPrefix("WATCHDOG=") { return message }
        }
        return nil
    }

    func nextOfAll(withinMilliseconds limit: Int = 20_000) -> String? {
        var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&wait, 1, Int32(limit)) > 0, let bytes = try? Files.read(socket, upTo: 4096) else {
            return nil
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A daemon in the foreground with a mount of its own, for tests of its life and end.
final class Mounted {
    let folder: String
    let mountpoint: String
    let process: pid_t
    let manager: Manager
    private var ended: Int32?

    init(_ arguments: [String] = ["--size", "16M"], environment: [String] = []) {
        folder = Folder.make()
        mountpoint = "\(folder)/mount"
        try? Files.makeFolder(mountpoint, mode: 0o755)
        manager = Manager(in: folder)
        process = Program.start(
            ["mount", "-f"] + arguments + [mountpoint],
            environment: ["NOTIFY_SOCKET=\(manager.path)"] + environment,
            into: "\(folder)/log")
    }

    var entry: MountEntry? { try? MountTable.current().top(at: mountpoint) }

    var isReady: Bool { manager.next()?.hasPrefix("READY=1\n") == true }

    var err: String { (try? Files.text(of: "\(folder)/log.err")) ?? "" }

    func code() -> Int32 {
        if let ended { return ended }
        let code = Program.end(of: process)
        ended = code
        return code
    }

    deinit {
        if ended == nil {
            kill(process, SIGKILL)
            _ = Program.end(of: process)
        }
        Folder.remove(folder)
    }
}
