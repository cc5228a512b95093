import Glibc

/// How a filesystem is mounted and served. Units are in the names.
public struct MountOptions: Sendable {
    /// An existing directory.
    public var mountpoint: String
    /// What the mount table shows as the source.
    public var name: String
    /// Whether users other than the one who mounts may use the mount.
    public var allowsOthers: Bool
    /// Mount options such as "nosuid" or "ro". libfuse adds "nosuid" and "nodev" unless "suid" or "dev" is
    /// here.
    public var kernelOptions: [String]
    /// Threads that serve requests; at least 1.
    public var workers: Int
    /// How long one thread looks for the next request before it blocks; 0 for not at all.
    public var spinMicroseconds: Int
    /// Whether OPEN is answered, so that each open file may be treated in its own way; otherwise it is
    /// declined for good, and the kernel keeps what it reads.
    public var answersOpen: Bool
    /// Whether files may be opened with backing files, which the kernel then uses without asking. Demands
    /// what `Passthrough.probe` looks for.
    public var passesThrough: Bool
    /// Whether the kernel is asked to heed POSIX ACLs.
    public var usesACL: Bool
    /// Whether requests come through io_uring; the kernel must offer it.
    public var usesIOUring: Bool
    /// Whether libfuse prints each request on stderr.
    public var debug: Bool

    public init(
        mountpoint: String, name: String = "dmemfs", allowsOthers: Bool = false, kernelOptions: [String] = [],
        workers: Int = MountOptions.defaultWorkers, spinMicroseconds: Int = 50, answersOpen: Bool = false,
        passesThrough: Bool = false, usesACL: Bool = false, usesIOUring: Bool = false,
        debug: Bool = false
    ) {
        self.mountpoint = mountpoint
        self.name = name
        self.allowsOthers = allowsOthers
        self.kernelOptions = kernelOptions
        self.workers = workers
        self.spinMicroseconds = spinMicroseconds
        self.answersOpen = answersOpen
        self.passesThrough = passesThrough
        self.usesACL = usesACL
        self.usesIOUring = usesIOUring
        self.debug = debug
    }

    /// One for each processor, from 2 to 8: with one, a slow request would hold up all others.
    public static var defaultWorkers: Int {
        max(2, min(8, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }
}
