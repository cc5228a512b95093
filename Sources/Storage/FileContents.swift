public import Accounting
public import Basics

/// What became of a file's bytes without a request, where the kernel changes them by itself.
public struct FileObservation: Hashable, Sendable {
    /// In bytes.
    public var size: Int64
    /// When the bytes were changed; nil where nobody has since they were looked at last.
    public var modified: Timestamp?
    public var changed: Timestamp?

    init(size: Int64) { self.size = size }
}

/// The bytes of one file, of whatever kind: the one type that a tree sees.
///
/// `paged` lies in the daemon's memory, `backed` in a file of a private tmpfs; which of them new files are is
/// a property of the mount's `Memory`. Not safe by itself: the lock of the inode guards it. Every operation
/// that throws has changed nothing.
public enum FileContents: ~Copyable {
    case paged(PagedContents)
    case backed(BackedFile)

    /// - Parameter opened: whether an opening follows, which must not be refused: the caller has reserved
    ///   `cost(in:)`.
    public init(in memory: Memory, opened: Bool = false) {
        if memory.tmpfs != nil {
            self = .backed(BackedFile(isPaid: opened))
        } else {
            self = .paged(PagedContents(memory.policy))
        }
    }

    /// What contents cost that are still empty, in bytes, of metadata.
    public func emptyCost(in memory: Memory) -> Int {
        switch self {
        case .paged: 0
        case .backed(let file): file.metadataBytes
        }
    }

    /// Memory held for data, in bytes: what `st_blocks` tells.
    public func dataBytes(in memory: Memory) -> Int {
        switch self {
        case .paged(let contents): contents.dataBytes(in: memory)
        case .backed(let file): file.dataBytes
        }
    }

    /// How long a new file may be, in bytes, so that it fits into `bytes` with its index, its node and its
    /// name.
    public static func largestBytes(in bytes: Int, in memory: Memory) -> Int {
        // A node and its name take well under a page.
        memory.tmpfs == nil
            ? PagedContents.largestBytes(in: bytes, memory.policy)
            : max(0, bytes - PrivateTmpfs.fileCost - PageArena.pageBytes)
    }

    /// Whether the kernel may change the bytes by itself, so that `observe` tells what it did.
    @inline(__always)
    public var isSelfChanging: Bool {
        switch self {
        case .paged: false
        case .backed: true
        }
    }

    /// Runs the operation of the kind that the file is of.
    ///
    /// Taken apart and put together again, as the payload of a case cannot be changed in place.
    @inline(__always)
    private mutating func change<Result: ~Copyable>(
        _ paged: (inout PagedContents) throws(Errno) -> Result,
        _ backed: (inout BackedFile) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        switch consume self {
        case .paged(var contents):
            do throws(Errno) {
                let result = try paged(&contents)
                self = .paged(contents)
                return result
            } catch {
                self = .paged(contents)
                throw error
            }
        case .backed(var file):
            do throws(Errno) {
                let result = try backed(&file)
                self = .backed(file)
                return result
            } catch {
                self = .backed(file)
                throw error
            }
        }
    }

    /// What happened to the bytes since they were looked at, charged; nil for a file that changes by request
    /// alone.
    public mutating func observe(in memory: Memory, charge: inout Charge) -> FileObservation? {
        guard isSelfChanging else { return nil }
        do throws(Errno) {
            return try change { (_) throws(Errno) in
                nil
            } _: { (file) throws(Errno) in
                file.observe(in: memory.backing, charge: &charge)
            }
        } catch {
            return nil
        }
    }

    /// Opens the file that the bytes lie in once more, and returns what it is registered as; 0 where they lie
    /// in none.
    public mutating func open(
        for mode: OpenMode, size: Int, in memory: Memory, charge: inout Charge,
        with registry: any BackingRegistry
    ) throws(Errno) -> Int32 {
        try change { (_) throws(Errno) in
            0
        } _: { (file) throws(Errno) in
            try file.open(for: mode, size: size, in: memory.backing, charge: &charge, with: registry)
        }
    }

    /// Whether somebody may change the bytes without a request from now on.
    public mutating func mayChange(in memory: Memory) -> Bool {
        switch consume self {
        case .paged(let contents):
            self = .paged(contents)
            return false
        case .backed(var file):
            let may = file.mayChange(in: memory.backing)
            self = .backed(file)
            return may
        }
    }

    /// Ends one opening.
    public mutating func release(
        in memory: Memory, charge: inout Charge, with registry: any BackingRegistry
    ) throws(Errno) {
        try change { (_) throws(Errno) in
        } _: { (file) throws(Errno) in
            file.release(in: memory.backing, charge: &charge, with: registry)
        }
    }

    /// Writes all of `bytes` at `offset` of a file of `size` bytes.
    ///
    /// - Throws: `.noSpace` or `.diskQuotaExceeded` where the growth does not fit; `.notSupportedOnSocket`
    ///   where the storage kind forbids the write. A write into what is there already needs nothing and
    ///   cannot fail.
    public mutating func write(
        _ bytes: RawSpan, at offset: Int, size: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try change { (contents) throws(Errno) in
            try contents.write(bytes, at: offset, size: size, in: memory, charge: &charge)
        } _: { (file) throws(Errno) in
            try file.write(bytes, at: offset, size: size, in: memory.backing, charge: &charge)
        }
    }

    /// Makes the memory for `range` be there, as fallocate(2) does; new bytes read as zeros.
    ///
    /// - Parameter keepingSize: the file does not end behind the range, if it did not before.
    public mutating func allocate(
        _ range: Range<Int>, size: Int, keepingSize: Bool, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try change { (contents) throws(Errno) in
            try contents.allocate(range, size: size, in: memory, charge: &charge)
        } _: { (file) throws(Errno) in
            try file.allocate(
                range, size: size, keepingSize: keepingSize, in: memory.backing, charge: &charge)
        }
    }

    /// Makes `range` read as zeros and be there.
    public mutating func zero(
        _ range: Range<Int>, size: Int, keepingSize: Bool, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try change { (contents) throws(Errno) in
            try contents.zero(range, size: size, in: memory, charge: &charge)
        } _: { (file) throws(Errno) in
            try file.zero(
                range, size: size, keepingSize: keepingSize, in: memory, memory.backing, charge: &charge)
        }
    }

    /// Lets the file grow to `newSize` by a hole. Throws `.notSupportedOnSocket` where its kind forbids it.
    public mutating func extend(
        from size: Int, to newSize: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try change { (contents) throws(Errno) in
            try contents.extend(from: size, to: newSize, in: memory, charge: &charge)
        } _: { (file) throws(Errno) in
            try file.resize(to: newSize, in: memory.backing, charge: &charge)
        }
    }

    /// Frees what lies behind `newSize`, which is at most the file's size.
    public mutating func truncate(
        to newSize: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try change { (contents) throws(Errno) in
            contents.truncate(to: newSize, in: memory, charge: &charge)
        } _: { (file) throws(Errno) in
            try file.resize(to: newSize, in: memory.backing, charge: &charge)
        }
    }

    /// Frees the whole pages of `range` and zeroes the parts of pages at its ends.
    public mutating func punch(
        _ range: Range<Int>, size: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        try change { (contents) throws(Errno) in
            try contents.punch(range, size: size, in: memory, charge: &charge)
        } _: { (file) throws(Errno) in
            try file.punch(range, size: size, in: memory.backing, charge: &charge)
        }
    }

    /// Frees everything. Must be called before the contents are dropped.
    public mutating func free(in memory: Memory, charge: inout Charge) {
        switch consume self {
        case .paged(var contents):
            contents.free(in: memory, charge: &charge)
            self = .paged(contents)
        case .backed(var file):
            file.free(in: memory.backing, charge: &charge)
            self = .backed(file)
        }
    }

    /// Lends the bytes of `range`, which lies inside the file, as segments.
    ///
    /// - Parameter forCache: they go to the kernel, which may keep them.
    public mutating func read(
        _ range: Range<Int>, forCache: Bool, in memory: Memory, _ body: (borrowing Segments) -> Void
    ) throws(Errno) {
        try change { (contents) throws(Errno) in
            if forCache {
                contents.readForCache(range, in: memory, body)
            } else {
                contents.read(range, in: memory, body)
            }
        } _: { (file) throws(Errno) in
            try file.read(range, in: memory, memory.backing, body)
        }
    }

    /// Where the first data, or the first hole, at or behind `offset` begins, in a file of `size` bytes.
    ///
    /// Throws `.noSuchAddressOrDevice` (ENXIO) at or behind the end, or where no data follows. The end counts
    /// as a hole.
    public func seek(_ kind: SparseSeek, from offset: Int, size: Int, in memory: Memory) throws(Errno) -> Int
    {
        switch self {
        case .paged(let contents):
            return try contents.seek(kind, from: offset, size: size, in: memory)
        case .backed(let file):
            return try file.seek(kind, from: offset, size: size, in: memory.backing)
        }
    }

    /// What the contents cost, in bytes, counted anew. Stops the program where they are not what they say.
    public func auditedCost(in memory: Memory) throws(Errno) -> Int {
        switch self {
        case .paged(let contents): return contents.auditedCost(in: memory)
        case .backed(let file): return try file.auditedCost(in: memory.backing)
        }
    }
}
