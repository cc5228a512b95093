public import Basics
import Storage

/// The bytes of files.
extension Tree {
    /// Lends what lies in the range to the kernel, at most `count` bytes, while the file's lock is held.
    ///
    /// - Parameter forCache: whether stores through a mapping may change the pages that the kernel keeps:
    ///   holes among them count as data for `seek` from then on.
    public func read(
        _ node: NodeID, at offset: Int64, count: Int, forCache: Bool = true,
        _ body: (borrowing Segments) -> Void
    ) throws(Errno) {
        guard offset >= 0, count >= 0 else { throw .invalidArgument }
        try change(node) { (state) throws(Errno) in
            try state.withContents(in: memory) { (contents, _, size) throws(Errno) in
                let start = min(Int(offset), size)
                let range = start..<start + min(count, size - start)
                try contents.read(range, forCache: forCache, in: memory, body)
            }
        }
    }

    /// Writes all of `bytes`, or throws and changes nothing.
    public func write(
        _ bytes: RawSpan, to node: NodeID, at offset: Int64, droppingPrivileges: Bool
    ) throws(Errno) -> Int {
        let end = try Tree.end(of: bytes.byteCount, at: offset)
        let now = configuration.clock.now()
        try change(node) { (state) throws(Errno) in
            try storing { () throws(Errno) in
                try state.withContents(in: memory) { (contents, charge, size) throws(Errno) in
                    try contents.write(bytes, at: Int(offset), size: size, in: memory, charge: &charge)
                }
            }
            state.size = max(state.size, end)
            state.touch(now)
            if droppingPrivileges { state.dropPrivileges(in: memory) }
        }
        return bytes.byteCount
    }

    /// Throws `.invalidArgument` for what is negative and `.fileTooLarge` for an end past the largest file.
    private static func end(of count: Int, at offset: Int64) throws(Errno) -> Int64 {
        guard offset >= 0, count >= 0 else { throw .invalidArgument }
        let (end, overflows) = offset.addingReportingOverflow(Int64(count))
        guard !overflows, end <= Tree.largestFileBytes else { throw .fileTooLarge }
        return end
    }

    /// fallocate(2): reserves, punches or zeroes a range.
    public func allocate(_ node: NodeID, mode: AllocationMode, offset: Int64, count: Int64) throws(Errno) {
        let known: AllocationMode = [.keepSize, .punchHole, .zeroRange]
        guard mode.isSubset(of: known), !mode.isSuperset(of: [.punchHole, .zeroRange]),
            !mode.contains(.punchHole) || mode.contains(.keepSize)
        else { throw .notSupportedOnSocket }
        guard count > 0 else { throw .invalidArgument }
        let end = try Tree.end(of: Int(count), at: offset)
        let range = Int(offset)..<Int(end)
        let now = configuration.clock.now()
        try change(node) { (state) throws(Errno) in
            try storing { () throws(Errno) in
                try state.withContents(in: memory) { (contents, charge, size) throws(Errno) in
                    let keepsSize = mode.contains(.keepSize)
                    if mode.contains(.punchHole) {
                        try contents.punch(range, size: size, in: memory, charge: &charge)
                    } else if mode.contains(.zeroRange) {
                        try contents.zero(
                            range, size: size, keepingSize: keepsSize, in: memory, charge: &charge)
                    } else {
                        try contents.allocate(
                            range, size: size, keepingSize: keepsSize, in: memory, charge: &charge)
                    }
                }
            }
            if !mode.contains(.keepSize) { state.size = max(state.size, end) }
            state.touch(now)
        }
    }

    /// lseek(2) with SEEK_DATA or SEEK_HOLE.
    public func seek(_ node: NodeID, from offset: Int64, to kind: SparseSeek) throws(Errno) -> Int64 {
        guard offset >= 0 else { throw .noSuchAddressOrDevice }
        return try change(node) { (state) throws(Errno) in
            try state.withContents(in: memory) { (contents, _, size) throws(Errno) in
                Int64(try contents.seek(kind, from: Int(offset), size: size, in: memory))
            }
        }
    }

    /// How much one request copies at the most, so that it does not hold a worker for long.
    private static let copyLimitBytes = 64 << 20
    private static let copyPieceBytes = 128 << 10

    /// copy_file_range(2): copies piece by piece, with one inode's lock at a time. Returns how much was
    /// copied.
    public func copyRange(
        from source: NodeID, at sourceOffset: Int64, to target: NodeID, at targetOffset: Int64, count: Int
    ) throws(Errno) -> Int {
        // The source ends where it ends now: a copy within one file must not chase its own tail.
        let size = try change(source) { (state) throws(Errno) in
            state.observe(in: memory)
            return state.size
        }
        let wanted = min(count, Tree.copyLimitBytes, max(0, Int(size - max(0, sourceOffset))))
        _ = try Tree.end(of: wanted, at: sourceOffset)
        _ = try Tree.end(of: wanted, at: targetOffset)
        if source == target, abs(sourceOffset - targetOffset) < Int64(wanted) { throw .invalidArgument }
        var done = 0
        while done < wanted {
            var piece: [UInt8] = []
            try read(
                source, at: sourceOffset + Int64(done), count: min(Tree.copyPieceBytes, wanted - done),
                forCache: false
            ) {
                segments in
                piece = segments.copied()
            }
            if piece.isEmpty { break }
            do throws(Errno) {
                done += try piece.withRawSpan { (bytes) throws(Errno) in
                    try write(bytes, to: target, at: targetOffset + Int64(done), droppingPrivileges: false)
                }
            } catch {
                // What has been copied stays copied, and is what the caller is told.
                if done == 0 { throw error }
                if isRefusal(error) { withdrawRefusal() }
                break
            }
        }
        return done
    }

    /// Opens a regular file once more.
    ///
    /// Returns what the file that its bytes lie in is registered as with the kernel, or 0 where they lie in
    /// the memory of this process; then nothing was counted and `release` must not follow.
    public func open(
        _ node: NodeID, for mode: OpenMode, with registry: any BackingRegistry
    ) throws(Errno) -> Int32 {
        try change(node) { (state) throws(Errno) in
            try state.withContents(in: memory) { (contents, charge, size) throws(Errno) in
                try contents.open(
                    for: mode, size: size, in: memory, charge: &charge, with: registry)
            }
        }
    }

    /// Ends one opening that `open` has counted. Never fails.
    public func release(_ node: NodeID, with registry: any BackingRegistry) {
        do throws(Errno) {
            try change(node) { (state) throws(Errno) in
                try state.withContents(in: memory) { (contents, charge, _) throws(Errno) in
                    try contents.release(in: memory, charge: &charge, with: registry)
                }
            }
        } catch {
            // A hostile client may release what is not there: nothing happens.
        }
    }

    /// Lends the target of a symlink to `body`. Throws `.invalidArgument` for every other kind.
    public func readLink(_ node: NodeID, _ body: (RawSpan) -> Void) throws(Errno) {
        try table.withState(node) { (state) throws(Errno) in
            switch state.body {
            case .symlink(let target): target.withBytes(in: memory, body)
            default: throw .invalidArgument
            }
        }
    }
}
