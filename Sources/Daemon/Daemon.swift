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
        if configuration.locksMemory { try lockMemory() }
        if configuration.usesIOUring { try FuseDevice.checkIOUring() }
        let network = try listen(configuration)
        let place = try Mountpoint.prepare(configuration)
        // A disk may be a file of ours (a loop device): memory that waited for it would wait for us. Where
        // nothing keeps us within what there is we need the swap, and wait. Few may ask for this.
        if configuration.memoryGuard.refusesGrowth { _ = linux_reclaim_without_io() }
        // Before there are threads: each has capabilities of its own. What is left suffices to mount and to
        // unmount. A user has none, and needs the setuid fusermount3 for both. Attached, we may have to end
        // what the command has left, whoever runs it.
        if geteuid() == 0, !readiness.isAttached { dropCapabilities(configuration, log) }
        var log = log
        log[metadataKey: DaemonEvent.mountKey] = "\(place.path)"
        let mount: RunningMount
        do throws(Failure) {
            mount = try RunningMount(
                configuration, at: place.path, memory: memory, readiness: readiness, network: network,
                log: log)
        } catch {
            place.undo()
            throw error
        }
        return mount.serve()
    }

    /// Before there is a mount: an address that cannot be had is a reason not to make one.
    private static func listen(_ configuration: Configuration) throws(Failure) -> NetworkListener? {
        guard let address = configuration.metricsAddress else { return nil }
        do throws(Errno) {
            return try NetworkListener(at: address, showingPage: configuration.showsPage)
        } catch {
            throw Failure(
                .mountFailed,
                "cannot listen on \(address) (\(Wording.of(error))): choose another --metrics-listen")
        }
    }

    private static func lockMemory() throws(Failure) {
        let failure = linux_lock_memory()
        guard failure == 0 else {
            throw Failure(
                .mountFailed,
                "cannot keep the memory out of swap (\(Wording.of(Errno(rawValue: failure)))): raise the "
                    + "limit with 'ulimit -l unlimited' as root, or leave --mlock out")
        }
    }

    private static func dropCapabilities(_ configuration: Configuration, _ log: Logger) {
        let failure = linux_drop_capabilities(configuration.locksMemory ? 1 : 0)
        guard failure != 0 else { return }
        log.warning("cannot drop capabilities: \(Wording.of(Errno(rawValue: failure)))")
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
    let configuration: Configuration
    let path: String
    let readiness: Readiness
    let log: Logger
    let memory: AvailableMemory
    let guardWatch: GuardWatch
    let tree: Tree
    /// nil where the bytes of files are the daemon's own memory.
    let tmpfs: PrivateTmpfs?
    let session: Session
    let refusalWatch: RefusalWatch
    let thresholdWatch: ThresholdWatch
    let freezer: Freezer
    private let heartbeat: Heartbeat
    /// Of the mount's device: tells our mount from another at the same place. nil for one that somebody else
    /// has made, where the kernel does not tell.
    let deviceMinor: Int?
    /// Tells it from a later mount at the same place, whose device may have the same number.
    private let mountNumber: UInt64
    let startedMilliseconds = Files.monotonicMilliseconds()
    private let isReady = Atomic<Bool>(false)
    /// Where the metrics are told beside the control socket.
    let network: NetworkListener?
    /// Set once, before serving begins.
    let server = Mutex<Server?>(nil)

    init(
        _ configuration: Configuration, at path: String, memory: AvailableMemory, readiness: Readiness,
        network: NetworkListener? = nil, log: Logger
    ) throws(Failure) {
        self.network = network
        self.configuration = configuration
        self.memory = memory
        guardWatch = GuardWatch(configuration.memoryGuard, memory: memory, log: log)
        let refusalWatch = RefusalWatch(path, log: log)
        self.refusalWatch = refusalWatch
        thresholdWatch = ThresholdWatch(configuration.thresholds, at: path, log: log)
        self.readiness = readiness
        self.log = log
        tmpfs = try EngineTmpfs.make(for: configuration)
        do throws(Errno) {
            tree = try Tree(
                configuration.tree(
                    guardedBy: guardWatch.memoryGuard, on: tmpfs, largestLimitBytes: Self.machineBytes(),
                    waking: thresholdWatch.wake))
        } catch {
            let limit = ByteCount(configuration.limits.bytes)
            let reason = Wording.of(error)
            throw Failure(
                .usage, "--size: \(limit) does not hold even the root directory (\(reason)): use more")
        }
        do throws(SessionError) {
            session = try Session(
                serving: TreeServer(
                    tree, opening: configuration.openPolicy, waiters: Configuration.workers - 1,
                    reportRefusal: { refusalWatch.refused($0) }),
                configuration.mountOptions(at: path))
            try session.mount()
        } catch {
            throw Failure(.mountFailed, "\(error)")
        }
        (self.path, deviceMinor) = try Self.find(path, configuration)
        freezer = Freezer(self.path, configuration, tree: tree, session: session, log: log)
        heartbeat = Heartbeat(readiness, tree: tree, session: session, freezer: freezer, log: log)
        mountNumber = unsafe linux_mount_number(self.path)
    }

    /// Where the new mount at `path` is, and the minor number of its device.
    private static func find(
        _ path: String, _ configuration: Configuration
    ) throws(Failure) -> (path: String, minor: Int?) {
        if let descriptor = Mountpoint.descriptor(in: path) { return try find(descriptor, path) }
        do throws(Errno) {
            guard let entry = try MountTable.current().top(at: path), entry.isOurs else {
                throw .noSuchFileOrDirectory
            }
            if !configuration.followsSymlinks {
                var flags = MountFlags(of: entry)
                flags.apply("nosymfollow")
                try flags.set(on: path)
            }
            return (path, entry.deviceMinor)
        } catch {
            detach(path)
            throw Failure(.mountFailed, "cannot finish the mount on \(path): \(Wording.of(error))")
        }
    }

    /// The same for a mount that somebody else has made, and that may be out of sight.
    private static func find(_ descriptor: Int32, _ name: String) throws(Failure) -> (String, Int?) {
        guard let minor = FuseDevice.connection(of: descriptor) else { return (name, nil) }
        let entries: [MountEntry]
        do throws(Errno) {
            entries = try MountTable.current().entries
        } catch {
            entries = []
        }
        guard let entry = entries.first(where: { $0.deviceMinor == minor && $0.type.hasPrefix("fuse") })
        else {
            return (name, minor)
        }
        let options = Set(entry.superOptions.split(separator: ","))
        guard !options.contains("allow_other") || options.contains("default_permissions") else {
            throw Failure(
                .mountFailed,
                "\(entry.mountpoint) has allow_other, but nobody would check permissions: mount it "
                    + "with default_permissions as well ('umount -l \(entry.mountpoint)' clears it)")
        }
        return (entry.mountpoint, minor)
    }

    /// Serves until the mount is gone.
    func serve() -> Int32 {
        do throws(Errno) {
            try Thread.start { [self] in heedSignals() }
            if readiness.isAttached { try Thread.start { [self] in endWithStarter() } }
            try guardWatch.start(watching: tree, growsByItself: configuration.engine == .passthrough)
            try refusalWatch.start(watching: tree)
            try thresholdWatch.start(
                watching: tree, growsByItself: configuration.engine == .passthrough)
            try heartbeat.start()
            if tmpfs == nil { try Thread.start { [tree] in while true { tree.prepareMemory() } } }
        } catch {
            Self.detach(path)
            readiness.failed(["cannot start a thread: \(Wording.of(error))"], status: .mountFailed)
            return ExitStatus.mountFailed.rawValue
        }
        openControl()
        let failure = session.serve { [self] in becomeReady() }
        closeControl()
        freezer.end(.unmounted)
        thresholdWatch.stop()
        #if DEBUG
            // Nobody serves any more, so that nothing is in flight: every test of a mount ends with this.
            tree.checkInvariants()
        #endif
        log.log(.info, .unmounted, "\(path): unmounted")
        // Where serving ended by itself the mount is still there, and dead.
        if isMounted { Self.detach(path) }
        leaveStarter()
        guard failure != 0 else { return ExitStatus.success.rawValue }
        var reason = "serving \(path) ended: \(Wording.of(Errno(rawValue: failure)))"
        if failure == EOPNOTSUPP, configuration.usesACL {
            reason = "this kernel does not heed ACLs of FUSE filesystems (Linux 5.14 does): leave 'acl' out"
        }
        if failure == EPROTONOSUPPORT, configuration.usesIOUring {
            reason = "this kernel does not offer FUSE over io_uring to this mount: leave 'io_uring' out"
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
            let table = try MountTable.current()
            let isThere = table.ours.contains { $0.deviceMinor == deviceMinor && $0.mountpoint == path }
            guard isThere, table.top(at: path)?.deviceMinor == deviceMinor else { return isThere }
            return unsafe linux_mount_number(path) == mountNumber
        } catch {
            return false
        }
    }

    /// 0 where that cannot be told.
    private static func machineBytes() -> Int {
        do throws(Errno) {
            return try MachineMemory.total()
        } catch {
            return 0
        }
    }

    // MARK: Ready

    private var summary: String {
        let limits = configuration.limits
        let nodes = limits.nodes.map { "\($0) nodes" } ?? "no node limit"
        let bytes = "\(ByteCount(limits.bytes)) (\(limits.bytes) bytes)"
        let engine = "engine \(configuration.engine.rawValue), storage \(configuration.storageName)"
        let transport = configuration.usesIOUring ? ", over io_uring" : ""
        return "\(path): limit \(bytes), \(nodes), \(engine)\(transport)"
    }

    private func becomeReady() {
        isReady.store(true, ordering: .relaxed)
        do throws(Errno) {
            try readiness.ready(summary)
            heartbeat.begin()
            log.log(.info, .mounted, summary)
        } catch {
            // Who waited for us was killed: a mount that nobody knows of must not stay.
            kill(getpid(), SIGTERM)
        }
    }

    // MARK: Stop

    private func heedSignals() {
        while true {
            guard let signal = Signals.next() else { continue }
            if Signals.isStop(signal) {
                stop()
            } else if signal == SIGHUP {
                reloadUnasked()
            } else if signal == SIGUSR1 {
                logSnapshot()
            }
        }
    }

    /// Takes the mount away; as long as it is in use, it is served and the unmount tried again.
    private func stop() {
        readiness.stopping("unmounting \(path)")
        // Who waits to change something uses the mount until he has.
        freezer.end(.unmounted)
        guard isMounted || Mountpoint.descriptor(in: configuration.mountpoint) == nil else {
            // The mount is somebody else's, and who uses it is not to be seen from here.
            return session.unmount()
        }
        let deadline = Files.monotonicMilliseconds() + configuration.stopTimeoutMilliseconds
        var isNamed = false
        while true {
            if !unmounted(lazily: false), !isNamed {
                log.log(.warning, .busy, "\(path) is in use, \(holders): waiting for it")
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

    /// Without its capabilities the daemon sees few of those who use the mount; the client sees them all.
    private var holders: String {
        Holders.summary(of: path, otherwise: "'dmemfs umount \(path)' says by whom")
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
