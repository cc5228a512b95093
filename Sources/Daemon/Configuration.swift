public import Accounting
public import Basics
public import Control
public import Fuse
public import Serving
public import Storage
public import Tree

/// What a mount is asked for, as it was written.
public struct MountRequest: Sendable {
    public var mountpoint: String
    /// From `-o` and from flags, in this order.
    public var settings: [Setting]
    /// Make the mountpoint where it is missing.
    public var makesMountpoint: Bool
    /// Pass over words of `-o` that nobody knows, as mount(8) asks with `-s`.
    public var ignoresUnknown: Bool
    /// Weaker than the environment, which is weaker than the settings.
    public var file: ConfigurationFile?
    /// As `fromEnvironment()` finds them.
    public var environment: [Setting] = []

    public init(
        mountpoint: String, settings: [Setting], makesMountpoint: Bool, ignoresUnknown: Bool = false,
        file: ConfigurationFile? = nil
    ) {
        self.file = file
        self.mountpoint = mountpoint
        self.settings = settings
        self.makesMountpoint = makesMountpoint
        self.ignoresUnknown = ignoresUnknown
    }
}

extension MountRequest {
    /// What the environment sets: `DMEMFS_SIZE` is `size`, and so on.
    public static func fromEnvironment() -> [Setting] { Precedence.environment() }
}

/// Everything that was wrong with a request, at once.
public struct ConfigurationError: Error, Sendable {
    public let faults: [Failure]

    /// What the program ends with: a fault of usage goes before one of means.
    public var status: ExitStatus {
        faults.contains { $0.status == .usage } ? .usage : (faults.first?.status ?? .usage)
    }
}

/// A request that has been found good: the sum of what the rooms below are made with. Never changes.
public struct Configuration: Sendable {
    /// What it was made from, and will be again when the file is to be read anew.
    public let request: MountRequest
    public let mountpoint: String
    public let makesMountpoint: Bool
    public let acceptsNonEmpty: Bool
    public let limits: Limits
    public let storage: StoragePolicy
    public let engine: Engine
    let hugePages: EngineTmpfs.HugePages
    public let rootMode: UInt32
    public let rootOwner: UInt32
    public let rootGroup: UInt32
    public let name: String
    public let allowsOthers: Bool
    /// Whether files have POSIX ACLs.
    public let usesACL: Bool
    /// Whether requests come through io_uring.
    public let usesIOUring: Bool
    public let kernelOptions: [String]
    /// Whether the memory is kept out of swap.
    public let locksMemory: Bool
    /// Whether the limits were asked for, and are no default.
    public let namesBytes: Bool
    public let namesNodes: Bool
    /// Whether the kernel follows symbolic links on the mount.
    public let followsSymlinks: Bool
    /// What was taken, but not as it was asked for.
    public let warnings: [String]
    /// How long a stop waits for those who still use the mount.
    public let stopTimeoutMilliseconds: Int
    public let memoryGuard: MemoryGuard.Policy
    /// Where the metrics are told over TCP; nil for nowhere.
    public let metricsAddress: NetworkListener.Address?
    /// Whether the page is shown there, too.
    public let showsPage: Bool
    public let thresholds: ThresholdPolicy

    /// - Parameter memory: how much memory a percentage is of, in bytes.
    public init(
        validating request: MountRequest, asUser user: UInt32, group: UInt32,
        memory: () throws(Errno) -> Int = { () throws(Errno) in try MachineMemory.available() }
    ) throws(ConfigurationError) {
        var draft = Draft(asUser: user, group: group, ignoringUnknown: request.ignoresUnknown)
        if request.mountpoint.isEmpty { draft.fault("the mountpoint is empty: name a directory") }
        let settings = Self.settings(of: request, &draft)
        for setting in settings {
            if setting.name == "remount" {
                draft.fault("'remount' is for mount(8): 'mount -o remount,…', or 'dmemfs resize'")
            } else {
                draft.apply(setting)
            }
        }
        draft.checkEngine()
        draft.checkPage()
        let bytes = draft.resolvedBytes(memory)
        guard draft.faults.isEmpty else { throw ConfigurationError(faults: draft.faults) }
        self.request = request
        locksMemory = draft.locksMemory
        let names = Set(settings.map { OptionList.canonical($0.name) })
        namesBytes = names.contains("size")
        namesNodes = names.contains("max_nodes")
        mountpoint = request.mountpoint
        makesMountpoint = request.makesMountpoint
        acceptsNonEmpty = draft.acceptsNonEmpty
        limits = Limits(bytes: bytes, nodes: draft.maxNodes, nodeLimitErrno: draft.nodeLimitErrno)
        storage = draft.storage
        engine = draft.engine
        hugePages = draft.hugePages
        rootMode = draft.mode
        rootOwner = draft.owner
        rootGroup = draft.group
        name = draft.name
        allowsOthers = draft.allowsOthers
        usesACL = draft.usesACL
        usesIOUring = draft.usesIOUring
        kernelOptions = draft.kernelOptions
        followsSymlinks = draft.followsSymlinks
        warnings = draft.warnings
        stopTimeoutMilliseconds = draft.stopTimeoutMilliseconds
        memoryGuard = draft.memoryGuard
        metricsAddress = draft.metricsAddress
        showsPage = draft.showsPage
        thresholds = draft.thresholds
    }

    private static func settings(of request: MountRequest, _ draft: inout Draft) -> [Setting] {
        do throws(Failure) {
            let file = try request.file?.settings() ?? []
            return Precedence.merged([file, request.environment, request.settings])
        } catch {
            draft.fault(error.description, status: error.status)
            return request.settings
        }
    }

    /// - Parameters:
    ///   - memoryGuard: nil for a tree that only its limits bound.
    ///   - tmpfs: what an engine that is not `memory` keeps the bytes of files in.
    ///   - largestLimitBytes: what the limit may be raised to later.
    ///   - wake: told when use of a limit passes a mark.
    public func tree(
        guardedBy memoryGuard: MemoryGuard?, on tmpfs: PrivateTmpfs? = nil, largestLimitBytes: Int,
        waking wake: (@Sendable () -> Void)? = nil
    ) -> TreeConfiguration {
        var tree = TreeConfiguration(
            limits: limits, storage: storage, rootMode: rootMode, rootOwner: rootOwner, rootGroup: rootGroup)
        tree.usesACL = usesACL
        tree.hasQuotas = engine != .passthrough
        tree.memoryGuard = memoryGuard
        tree.tmpfs = tmpfs
        tree.largestLimitBytes = largestLimitBytes
        tree.wake = wake
        return tree
    }

    /// Threads that serve requests. More than processors, as one may wait for a lock or for a forget.
    static let workers = 4

    /// A mapping could store into the middle of a file that is append only.
    var openPolicy: OpenPolicy { OpenPolicy(engine, bypassingCache: storage.kind == .sequential) }

    /// What `status` says of how contents are kept.
    var storageName: String { engine.usesTmpfs ? "backed" : storage.kind.rawValue }

    /// - Parameter path: the mountpoint, absolute and without links.
    public func mountOptions(at path: String) -> MountOptions {
        MountOptions(
            mountpoint: path, name: name, allowsOthers: allowsOthers, kernelOptions: kernelOptions,
            workers: Configuration.workers,
            spinMicroseconds: 50, answersOpen: openPolicy.answersOpen,
            passesThrough: openPolicy.passesThrough, usesACL: usesACL, usesIOUring: usesIOUring,
            debug: false)
    }

    /// The words in which this differs from `other`, and that nothing but a new mount changes.
    func fixedWords(unlike other: Configuration) -> [String] {
        let pairs: [(String, Bool)] = [
            ("storage", storage == other.storage), ("io", engine == other.engine),
            ("huge", hugePages == other.hugePages), ("mode", rootMode == other.rootMode),
            ("uid", rootOwner == other.rootOwner), ("gid", rootGroup == other.rootGroup),
            ("fsname", name == other.name), ("flags", kernelOptions == other.kernelOptions),
            ("nosymfollow", followsSymlinks == other.followsSymlinks), ("acl", usesACL == other.usesACL),
            ("allow_other", allowsOthers == other.allowsOthers),
            ("io_uring", usesIOUring == other.usesIOUring),
            ("node_limit_errno", limits.nodeLimitErrno == other.limits.nodeLimitErrno),
            ("thresholds", thresholds == other.thresholds),
            ("memory_guard", memoryGuard == other.memoryGuard), ("mlock", locksMemory == other.locksMemory),
            ("metrics_listen", metricsAddress == other.metricsAddress),
            ("page", showsPage == other.showsPage),
            ("stop_timeout", stopTimeoutMilliseconds == other.stopTimeoutMilliseconds),
        ]
        return pairs.filter { !$0.1 }.map(\.0)
    }
}
