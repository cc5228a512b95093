import Basics
import CLinux
import Glibc

/// Another program, started without fork(2): the Swift runtime does not survive one.
enum Spawn {
    /// Starts `path`, found along PATH where it has no slash, with `arguments`, the first of them its name.
    ///
    /// The child begins with the signals of `held` held back, and with `passed` as its descriptor `place`.
    /// With `silently` its output goes nowhere.
    static func start(
        _ path: String, _ arguments: [String], passing passed: Int32? = nil, as place: Int32 = 3,
        silently: Bool = false, holding held: sigset_t = sigset_t()
    ) throws(Errno) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        if silently {
            for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
                unsafe posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0)
            }
        }
        if let passed { unsafe posix_spawn_file_actions_adddup2(&actions, passed, place) }
        var held = held
        unsafe posix_spawnattr_setsigmask(&attributes, &held)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var texts: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
        var child = pid_t()
        try Errno.check(unsafe posix_spawnp(&child, path, &actions, &attributes, &texts, environ))
        return child
    }

    /// Starts the program at `path` with this environment and nothing else of ours: no arguments, no open
    /// file but /dev/null, every signal as at the start, in `/` and in a process group of its own.
    static func startApart(_ path: String, environment: [String]) throws(Errno) -> pid_t {
        var texts: [UnsafeMutablePointer<CChar>?] = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
        var child = pid_t()
        try Errno.check(unsafe linux_spawn_apart(path, &texts, &child))
        return child
    }

    /// How a child ended: its exit code, or the signal that ended it.
    enum Ending: Equatable {
        case exited(Int32)
        case killed(Int32)

        /// From what waitpid(2) says of a child that has ended.
        init(status: Int32) {
            let signal = status & 0x7f
            self = signal == 0 ? .exited(status >> 8 & 0xff) : .killed(signal)
        }

        /// The exit code as a shell counts it: 128 and the signal where one ended the child.
        var code: Int32 {
            switch self {
            case .exited(let code): code
            case .killed(let signal): 128 + signal
            }
        }
    }

    /// Waits until `child` ends.
    static func wait(for child: pid_t) throws(Errno) -> Ending {
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { throw Errno(rawValue: errno) }
        }
        return Ending(status: status)
    }

    /// Runs `path` to its end and returns its exit code; 128 and the signal where one ended it.
    static func run(_ path: String, _ arguments: [String]) throws(Errno) -> Int32 {
        try wait(for: try start(path, arguments, silently: true)).code
    }
}
