public import Accounting
public import Basics
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

    public init(mountpoint: String, settings: [Setting], makesMountpoint: Bool) {
        self.mountpoint = mountpoint
        self.settings = settings
        self.makesMountpoint = makesMountpoint
    }
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
    public let kernelOptions: [String]
    /// How long a stop waits for those who still use the mount.
    public let stopTimeoutMilliseconds: Int
    public let memoryGuard: MemoryGuard.Policy

    /// - Parameter memory: how much memory a percentage is of, in bytes.
    public init(
        validating request: MountRequest, asUser user: UInt32, group: UInt32,
        memory: () throws(Errno) -> Int = { () throws(Errno) in try MachineMemory.available() }
    ) throws(ConfigurationError) {
        var draft = Draft(asUser: user, group: group)
        if request.mountpoint.isEmpty { draft.fault("the mountpoint is empty: name a directory") }
        for setting in request.settings { draft.apply(setting) }
        draft.checkEngine()
        let bytes = draft.resolvedBytes(memory)
        guard draft.faults.isEmpty else { throw ConfigurationError(faults: draft.faults) }
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
        kernelOptions = draft.kernelOptions
        stopTimeoutMilliseconds = draft.stopTimeoutMilliseconds
        memoryGuard = draft.memoryGuard
    }

    /// - Parameters:
    ///   - memoryGuard: nil for a tree that only its limits bound.
    ///   - tmpfs: what an engine that is not `memory` keeps the bytes of files in.
    ///   - largestLimitBytes: what the limit may be raised to later.
    public func tree(
        guardedBy memoryGuard: MemoryGuard?, on tmpfs: PrivateTmpfs? = nil, largestLimitBytes: Int
    ) -> TreeConfiguration {
        var tree = TreeConfiguration(
            limits: limits, storage: storage, rootMode: rootMode, rootOwner: rootOwner, rootGroup: rootGroup)
        tree.usesACL = usesACL
        tree.memoryGuard = memoryGuard
        tree.tmpfs = tmpfs
        tree.largestLimitBytes = largestLimitBytes
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
            passesThrough: openPolicy.passesThrough, usesACL: usesACL, debug: false)
    }
}
