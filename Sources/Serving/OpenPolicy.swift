import Basics

/// The I/O engines: who copies the bytes of files.
public enum Engine: String, Hashable, Sendable, CaseIterable {
    /// The daemon, from and into its own memory; the kernel keeps what it has read.
    case memory
    /// The kernel reads and maps files of a private tmpfs; each write comes to the daemon first.
    case strict
    /// The kernel reads, writes and maps files of a private tmpfs.
    case passthrough

    /// Whether the bytes lie in a private tmpfs, which the kernel uses by itself.
    public var usesTmpfs: Bool { self != .memory }
}

/// With which flags files are opened: all that tells the engines apart for a program that has a file open.
public enum OpenPolicy: Hashable, Sendable {
    /// The kernel opens files without asking, and keeps what it has read.
    case cached
    /// Every read and write is a request: no mapping can store into the middle of a file.
    case uncached
    case strict
    case passthrough

    public init(_ engine: Engine, bypassingCache: Bool = false) {
        self =
            switch engine {
            case .memory: bypassingCache ? .uncached : .cached
            case .strict: .strict
            case .passthrough: .passthrough
            }
    }

    /// Whether OPEN must be answered.
    public var answersOpen: Bool { self != .cached }
    /// Whether files are opened with the file behind them.
    public var passesThrough: Bool { self == .strict || self == .passthrough }

    /// How a file is opened whose file behind is registered as `backing`; 0 where it has none.
    ///
    /// A file that the kernel reads by itself must not be open through the page cache as well, so that
    /// without a file behind it every read is a request.
    func opening(_ mode: OpenMode, backing: Int32) -> Opening {
        switch self {
        case .cached: Opening()
        case .uncached: Opening(bypassesCache: true)
        case .strict: Opening(bypassesCache: mode == .writing || backing == 0, backing: backing)
        case .passthrough: Opening(bypassesCache: backing == 0, backing: backing)
        }
    }
}
