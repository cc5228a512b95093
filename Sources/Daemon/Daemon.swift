import Accounting
import Basics
import CLinux
import Control
import Fuse
import Glibc
public import Logging
import Serving
import Storage
import Synchronization
import Tree

/// One mount and the process that serves it: start, ready, run, drain, stop.
public enum Daemon {
    /// Mounts, serves until the mount is gone, and leaves nothing behind. Returns what to end with.
    ///
    /// - Throws: why there is no mount; nothing is left of it then.
    public static func run(
        _ configuration: Configuration, readiness: Readiness, log: Logger
    ) throws(Failure) -> Int32 {
        unsafe linux_set_process_name("dmemfs")
        linux_bound_heap()
        // A core would hold every user's files.
        linux_forbid_core_dumps()
        Signals.hold()
        let memory = AvailableMemory()
        try checkMemory(configuration, memory, log)
        let place = try Mountpoint.prepare(configuration)
        let mount: RunningMount
        do throws(Failure) {
            mount = try RunningMount(
                configuration, at: place.path, memory: memory, readiness: readiness, log: log)
        } catch {
            place.undo()
            throw error
        }
        return mount.serve()
    }

    /// Compares the limit with the memory there is.
    ///
    /// In mode `per_write` it only warns: what does not suffice now may later, growth is refused in time as
    /// long as it does not, and until then the mount is as good as a smaller one.
    private static func checkMemory(
        _ configuration: Configuration, _ memory: AvailableMemory, _ log: Logger
    ) throws(Failure) {
        let check = MemoryCheck(policy: configuration.memoryGuard, reading: memory.reading())
        guard let shortage = check.shortageAtStart(limitBytes: configuration.limits.bytes) else { return }
        guard configuration.memoryGuard.mode == .start, configuration.memoryGuard.action == .raise else {
            log.warning("\(shortage)")
            return
        }
        throw Failure(
            .mountFailed,
            "\(shortage): use a smaller --size, or '--memory-guard-action warn' to mount all the same")
    }
}

/// A mount that is there, and all that serves it.
final class RunningMount: Sendable {
    private let configuration: Configuration
    private let path: String
    private let readiness: Readiness
    private let log: Logger
    private let memory: AvailableMemory
    private let guardWatch: GuardWatch
    private let tree: Tree
    /// nil where the bytes of files are the daemon's own memory.
    private let tmpfs: PrivateTmpfs?
    private let session: Session
    /// Of the mount's device: tells our mount from another at the same place.
    private let deviceMinor: Int
    private let startedMilliseconds = Files.monotonicMilliseconds()
    private let isReady = Atomic<Bool>(false)
    /// Set once, before serving begins.
    private let server = Mutex<Server?>(nil)

    init(
        _ configuration: Configuration, at path: String, memory: AvailableMemory, readiness: Readiness,
        log: Logger
    ) throws(Failure) {
        self.configuration = configuration
        self.path = path
        self.memory = memory
        guardWatch = GuardWatch(configuration.memoryGuard, memory: memory, log: log)
        self.readiness = readiness
        self.log = log
        tmpfs = try EngineTmpfs.make(for: configuration)
        do throws(Errno) {
            tree = try Tree(
                configuration.tree(
                    guardedBy: guardWatch.memoryGuard, on: tmpfs, largestLimitBytes: Self.machineBytes()))
        } catch {
            let limit = ByteCount(configuration.limits.bytes)
            let reason = Wording.of(error)
            throw Failure(
                .usage, "--size: \(limit) does not hold even the root directory (\(reason)): use more")
        }
        do throws(SessionError) {
            session = try Session(
                serving: Self.server(of: tree, configuration.openPolicy, log),
                configuration.mountOptions(at: path))
            try session.mount()
        } catch {
            throw Failure(.mountFailed, "\(error)")
        }
        do throws(Errno) {
            guard let entry = try MountTable.current().top(at: path), entry.isOurs else {
                throw .noSuchFileOrDirectory
            }
            deviceMinor = entry.deviceMinor
        } catch {
            Self.detach(path)
            throw Failure(.mountFailed, "the mount on \(path) cannot be found in /proc/self/mountinfo")
        }
    }

    /// Answers requests with the tree. A page that is lost at write-back is lost silently for most programs,
    /// so the log says it, at most once a second.
    private static func server(of tree: Tree, _ policy: OpenPolicy, _ log: Logger) -> TreeServer {
        let lastSecond = Atomic<Int>(.min)
        return TreeServer(tree, opening: policy, waiters: Configuration.workers - 1) { number, offset in
            let second = Files.monotonicMilliseconds() / 1000
            guard lastSecond.exchange(second, ordering: .relaxed) != second else { return }
            log.error(
                """
                a page of inode \(number) at \(offset), dirtied through a mapping, did not fit and is lost \
                (writer unknown): fallocate such files before mapping them
                """)
        }
    }

    /// Serves until the mount is gone.
    func serve() -> Int32 {
        do throws(Errno) {
            try Thread.start { [self] in heedSignals() }
            try guardWatch.start(watching: tree, growsByItself: configuration.engine == .passthrough)
        } catch {
            Self.detach(path)
            readiness.failed(["cannot start a thread: \(Wording.of(error))"], status: .mountFailed)
            return ExitStatus.mountFailed.rawValue
        }
        openControl()
        let failure = session.serve { [self] in becomeReady() }
        closeControl()
        // Where serving ended by itself the mount is still there, and dead.
        if isMounted { Self.detach(path) }
        guard failure != 0 else { return ExitStatus.success.rawValue }
        var reason = "serving \(path) ended: \(Wording.of(Errno(rawValue: failure)))"
        if failure == EOPNOTSUPP, configuration.usesACL {
            reason = "this kernel does not heed ACLs of FUSE filesystems (Linux 5.14 does): leave 'acl' out"
        }
        if isReady.load(ordering: .relaxed) {
            log.error("\(reason)")
        } else {
            readiness.failed([reason], status: .mountFailed)
        }
        return ExitStatus.mountFailed.rawValue
    }

    private var isMounted: Bool {
        do throws(Errno) {
            return try MountTable.current().entries.contains {
                $0.isOurs && $0.deviceMinor == deviceMinor && $0.mountpoint == path
            }
        } catch {
            return false
        }
    }

    // MARK: Ready

    private var summary: String {
        let limits = configuration.limits
        let nodes = limits.nodes.map { "\($0) nodes" } ?? "no node limit"
        let bytes = "\(ByteCount(limits.bytes)) (\(limits.bytes) bytes)"
        let engine = "engine \(configuration.engine.rawValue), storage \(configuration.storageName)"
        return "\(path): limit \(bytes), \(nodes), \(engine)"
    }

    private func becomeReady() {
        isReady.store(true, ordering: .relaxed)
        do throws(Errno) {
            try Files.write(Array("dmemfs: \(summary)\n".utf8), to: STDOUT_FILENO)
        } catch {
            // A caller without an output wants none.
        }
        do throws(Errno) {
            try readiness.ready(summary)
        } catch {
            // Who waited for us was killed: a mount that nobody knows of must not stay.
            kill(getpid(), SIGTERM)
        }
    }

    // MARK: Control

    private func openControl() {
        guard let folder = SocketPath.ownFolder() else {
            log.warning(
                "no control socket, so that 'dmemfs status' does not work: XDG_RUNTIME_DIR is not set")
            return
        }
        let socket = SocketPath.path(in: folder, deviceMinor: deviceMinor)
        do throws(Errno) {
            let resizing = Resizing(
                mountpoint: path, tree: tree, policy: configuration.memoryGuard, memory: memory)
            let server = try Server(at: socket) { (request) throws(ControlRefusal) in
                try resizing.apply(request)
            } status: { [self] in
                status
            }
            self.server.withLock { $0 = server }
        } catch {
            log.warning("no control socket at \(socket), so that 'dmemfs status' does not work: \(error)")
        }
    }

    private func closeControl() {
        server.withLock { $0 }?.stop()
    }

    private var status: Status {
        tree.lookAtMemory()
        let usage = tree.usage
        let memoryGuard = guardWatch.memoryGuard
        let refusals = Status.Refusals(
            bytes: usage.refusals.bytes, nodes: usage.refusals.nodes, directory: usage.refusals.directory,
            user: usage.refusals.user, memoryGuard: usage.refusals.guardRefusals,
            storage: usage.refusals.storage,
            writeback: usage.refusals.writeback)
        return Status(
            mountpoint: path, version: Version.current, pid: Int(getpid()),
            engine: configuration.engine.rawValue, storage: configuration.storageName,
            limitBytes: usage.limitBytes,
            usedBytes: usage.usedBytes,
            dataBytes: usage.dataBytes, metadataBytes: usage.metadataBytes, peakBytes: usage.peakBytes,
            reservedBytes: usage.reservedBytes, openUnlinkedBytes: usage.openUnlinkedBytes,
            maxNodes: usage.maxNodes, nodes: usage.nodes,
            residentBytes: Self.residentBytes() + (tmpfs?.usedBytes ?? 0),
            uptimeSeconds: (Files.monotonicMilliseconds() - startedMilliseconds) / 1000, refusals: refusals,
            memoryGuard: Status.Guard(
                mode: memoryGuard.policy.mode.rawValue, action: memoryGuard.policy.action.rawValue,
                availableBytes: memoryGuard.availableBytes, tripped: memoryGuard.isTripped))
    }

    /// 0 where that cannot be told.
    private static func machineBytes() -> Int {
        do throws(Errno) {
            return try MachineMemory.total()
        } catch {
            return 0
        }
    }

    private static func residentBytes() -> Int {
        do throws(Errno) {
            let fields = try Files.text(of: "/proc/self/statm").split(separator: " ")
            return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(getpagesize()) : 0
        } catch {
            return 0
        }
    }

    // MARK: Stop

    private func heedSignals() {
        while true {
            guard let signal = Signals.next() else { continue }
            if Signals.isStop(signal) {
                stop()
            } else {
                log.info("signal \(signal) changes nothing here: SIGTERM ends the mount")
            }
        }
    }

    /// Takes the mount away; as long as it is in use, it is served and the unmount tried again.
    private func stop() {
        readiness.stopping("unmounting \(path)")
        let deadline = Files.monotonicMilliseconds() + configuration.stopTimeoutMilliseconds
        var isNamed = false
        while true {
            if !unmounted(lazily: false), !isNamed {
                log.warning("\(path) is in use, \(Holders.summary(of: path)): waiting for it")
                isNamed = true
            }
            let left = deadline - Files.monotonicMilliseconds()
            if left <= 0 { break }
            // There is no event for "no longer in use". Once it is not, serving ends, and the process with
            // it; a copy of the mount in another mount namespace is in use, too.
            _ = Signals.next(withinMilliseconds: min(left, 100))
        }
        if !unmounted(lazily: true) { log.error("cannot take the mount on \(path) away") }
        log.warning("\(path) was still in use when its time was up: its files are gone")
        session.unmount()
    }

    /// Tries to take our own mount away, and no other that may lie over it. Returns whether it is gone.
    private func unmounted(lazily: Bool) -> Bool {
        guard isMounted else { return true }
        do throws(Errno) {
            guard try MountTable.current().top(at: path)?.deviceMinor == deviceMinor else { return false }
            try Unmounting.unmount(path, lazily: lazily)
            return true
        } catch {
            return error == .invalidArgument
        }
    }

    private static func detach(_ path: String) {
        do throws(Errno) {
            try Unmounting.unmount(path, lazily: true)
        } catch {
            Files.complain("dmemfs: cannot take the mount on \(path) away: \(error)")
        }
    }
}
