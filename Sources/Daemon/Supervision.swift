import Basics
import Glibc

/// The command of `dmemfs run` or `dmemfs freeze` as its caller sees it through this process: signals go on
/// to it, this process stops and continues with it, and ends as it ended.
///
/// Command and supervisor stay in one process group, the job of the caller's shell. So the terminal is the
/// command's as much as ours, pipelines work, and Ctrl-C and Ctrl-Z reach it without us.
struct Supervision {
    private let server: pid_t
    /// Every signal that can be held back; all of them are waited for, none has a handler.
    private let held: sigset_t
    /// What was held back before.
    let inherited: sigset_t
    private var command: pid_t = -1
    private var ending: Spawn.Ending?
    private var serverHasEnded = false

    /// Holds back all signals that are to be passed on. The process must have one thread.
    static func hold() -> (held: sigset_t, inherited: sigset_t) {
        var held = sigset_t()
        var inherited = sigset_t()
        unsafe sigfillset(&held)
        // These tell of a fault of our own.
        for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS] {
            unsafe sigdelset(&held, signal)
        }
        // One who ignores it would never learn how the command ended.
        _ = signal(SIGCHLD, SIG_DFL)
        unsafe pthread_sigmask(SIG_BLOCK, &held, &inherited)
        return (held, inherited)
    }

    /// - Parameter server: another child, which ends after the command; -1 for none.
    init(beside server: pid_t, holding signals: (held: sigset_t, inherited: sigset_t)) {
        self.server = server
        held = signals.held
        inherited = signals.inherited
    }

    /// Runs `command` until it ends. Returns its code, or 128 and the signal that ended it; 127 where there
    /// is no such program, and 126 where it cannot be executed, as shells have it.
    mutating func run(_ command: [String]) -> Int32 {
        do throws(Errno) {
            return follow(try Spawn.start(command[0], command, holding: inherited)).code
        } catch {
            Files.complain("dmemfs: cannot run '\(command[0])': \(Wording.of(error))")
            return error == .noSuchFileOrDirectory ? 127 : 126
        }
    }

    /// Waits until `command` has ended. Other children are reaped as they end.
    mutating func follow(_ command: pid_t) -> Spawn.Ending {
        self.command = command
        while true {
            reap()
            if let ending { return ending }
            if let notice = nextNotice(), notice.signal != SIGCHLD { heed(notice) }
        }
    }

    /// Kills whatever the command left running. Returns how many processes could not be ended in time.
    ///
    /// All are stopped before the first is killed: who makes new ones as quickly as others die would
    /// otherwise never be caught, and a stopped process still counts against the limit on processes.
    mutating func endLeftovers(withinMilliseconds limit: Int) -> Int {
        let deadline = Files.monotonicMilliseconds() + limit
        var stopped: Set<pid_t> = []
        while true {
            reap()
            let rest = Descendants.ofThisProcess(sparing: server)
            let isLate = Files.monotonicMilliseconds() >= deadline
            let running = rest.subtracting(stopped)
            if running.isEmpty || isLate {
                for process in rest { kill(process, SIGKILL) }
                if rest.isEmpty || isLate { return rest.count }
                awaitChild(milliseconds: 100)
            } else {
                for process in running { kill(process, SIGSTOP) }
                stopped.formUnion(running)
            }
        }
    }

    // MARK: Children

    /// Takes note of every child that has stopped or ended.
    private mutating func reap() {
        var status: Int32 = 0
        while true {
            let child = unsafe waitpid(-1, &status, WNOHANG | WUNTRACED)
            guard child > 0 else { return }
            let isStopped = status & 0xff == 0x7f
            if child == command {
                if isStopped { stop(as: status >> 8 & 0xff) } else { ending = Spawn.Ending(status: status) }
            } else if child == server, !isStopped {
                serverHasEnded = true
                if command > 0, ending == nil {
                    Files.complain("dmemfs: the daemon ended before the command: what it held is lost")
                }
            }
        }
    }

    /// Waits until a child has changed, or the time is up.
    private func awaitChild(milliseconds: Int) {
        var children = sigset_t()
        unsafe sigemptyset(&children)
        unsafe sigaddset(&children, SIGCHLD)
        var time = timespec(tv_sec: 0, tv_nsec: milliseconds * 1_000_000)
        _ = unsafe sigtimedwait(&children, nil, &time)
    }

    /// Waits for the daemon's end, and ends it where it takes too long.
    mutating func awaitServer(withinMilliseconds limit: Int) {
        let deadline = Files.monotonicMilliseconds() + limit
        reap()
        while !serverHasEnded {
            if Files.monotonicMilliseconds() >= deadline { kill(server, SIGKILL) }
            awaitChild(milliseconds: 100)
            reap()
        }
    }

    // MARK: Signals

    /// A signal and where it came from.
    private struct Notice {
        let signal: Int32
        /// From the terminal, for one.
        let isFromKernel: Bool
        /// The process it is from; anything where it is from the kernel.
        let sender: pid_t
    }

    private func nextNotice() -> Notice? {
        var held = held
        var information = unsafe siginfo_t()
        let signal = unsafe sigwaitinfo(&held, &information)
        guard signal > 0 else { return nil }
        return unsafe Notice(
            signal: signal, isFromKernel: information.si_code == SI_KERNEL,
            sender: information._sifields._kill.si_pid)
    }

    private func heed(_ notice: Notice) {
        // Whoever continues us means the command; twice does no harm.
        if notice.signal == SIGCONT || !hasReachedCommand(notice) { kill(command, notice.signal) }
    }

    /// Whether a signal that came to us is known to have come to the command as well.
    ///
    /// The terminal signals the whole process group, and a program that ends at the second Ctrl-C must not
    /// get one twice. Of a signal from a process nobody can tell whether it was for us alone: it goes on.
    private func hasReachedCommand(_ notice: Notice) -> Bool {
        guard getpgid(command) == getpgrp() else { return false }
        // Of a terminal that hangs up only the leader of the session hears.
        if notice.isFromKernel { return notice.signal != SIGHUP || getsid(0) != getpid() }
        // It signalled its own group.
        return notice.sender == command
    }

    /// Stops as the command did, so that a shell with job control sees the whole job stop.
    ///
    /// By a signal that the kernel ignores where no shell could continue us.
    private func stop(as signal: Int32) {
        // Who stops it by hand continues it by hand, and not us; but it may be a shell that suspends itself.
        guard signal != SIGSTOP || isJobOfParent else { return }
        var one = sigset_t()
        unsafe sigemptyset(&one)
        unsafe sigaddset(&one, signal == SIGSTOP ? SIGTSTP : signal)
        // It waits, held back: a SIGCONT to us takes it away again. One that came before went to the command
        // as well, and left its mark there.
        raise(signal == SIGSTOP ? SIGTSTP : signal)
        if hasContinued {
            var now = timespec()
            _ = unsafe sigtimedwait(&one, nil, &now)
        }
        unsafe pthread_sigmask(SIG_UNBLOCK, &one, nil)
        unsafe pthread_sigmask(SIG_BLOCK, &one, nil)
    }

    /// Whether our parent is a shell that controls jobs, and we are one of them.
    private var isJobOfParent: Bool {
        getsid(getppid()) == getsid(0) && getpgid(getppid()) != getpgrp()
    }

    /// Whether the command was continued since it last stopped.
    private var hasContinued: Bool {
        var information = unsafe siginfo_t()
        let failure = unsafe waitid(P_PID, id_t(command), &information, WCONTINUED | WNOHANG)
        return unsafe failure == 0 && information._sifields._sigchld.si_pid == command
    }
}
