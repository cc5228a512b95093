/// How the bytes of files are kept.
public struct StoragePolicy: Hashable, Sendable {
    /// The storage kinds, by the names that the command line and `status` use.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// Begins sequential, and is promoted to random access when an operation needs it.
        case auto
        /// Append only.
        case sequential
        /// Sparse: holes cost nothing.
        case randomAccess = "random_access"
    }

    public var kind: Kind
    /// What each chunk of a sequential file costs beside its bytes; at least 0.
    public var chunkOverheadBytes: Int
    /// Files larger than this many bytes are not promoted; nil: all are.
    public var promotionLimitBytes: Int?
    /// How much free memory is kept for the next file before it goes back to the operating system, what is
    /// made ready for a large file that grows among it. In bytes, at least 0.
    public var keptFreeBytes: Int
    /// Whether memory may be taken in huge pages: less for the processor to look up, and where fresh ones
    /// are dear, as in a virtual machine that has to ask its host for them, slow to come.
    public var takesHugePages: Bool

    public init(
        kind: Kind = .auto, chunkOverheadBytes: Int = 128, promotionLimitBytes: Int? = nil,
        keptFreeBytes: Int = 8 << 20, takesHugePages: Bool = false
    ) {
        self.kind = kind
        self.chunkOverheadBytes = chunkOverheadBytes
        self.promotionLimitBytes = promotionLimitBytes
        self.keptFreeBytes = keptFreeBytes
        self.takesHugePages = takesHugePages
    }
}
