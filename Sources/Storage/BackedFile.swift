import Accounting
import Basics
import CLinux
import Glibc

/// The bytes of one file in a file of the private tmpfs, which the kernel may read, write and map by itself.
///
/// There is such a file from the first byte, or the first opening, on. What a request stores is reserved
/// before, to the page; what the kernel stores is charged when it is seen (`observe`). Invariants: the charge
/// holds `pages` pages of data, and the price of the file where `isPaid`. Not safe by itself: the lock of the
/// inode guards it.
public struct BackedFile: ~Copyable {
    /// In the private tmpfs; 0: there is none.
    private var number: UInt64 = 0
    /// The time of the last change that was seen, in nanoseconds.
    private var seenChange: Int64 = 0
    private var pages: UInt32 = 0
    /// Descriptors that are open with the registered file.
    private var opens: UInt32 = 0
    private var backing: Int32 = 0
    /// The file is charged: it is there, or will be when it is opened.
    private var isPaid: Bool
    /// It has held something: what was mapped then stays mapped, whatever is closed.
    private var hasHeld = false

    /// It has been open for writing, and so may be mapped.
    private var mayBeMapped = false
    /// Pages behind the end may be there.
    private var mayReachBeyondEnd = false

    private static let pageBytes = PageArena.pageBytes

    /// - Parameter isPaid: its opening, which follows, must not be refused: the caller has reserved `cost`.
    init(isPaid: Bool = false) {
        self.isPaid = isPaid
    }

    var dataBytes: Int { Int(pages) * Self.pageBytes }
    var metadataBytes: Int { isPaid ? PrivateTmpfs.fileCost : 0 }

    // MARK: The file behind

    /// Makes the file of a file of `size` bytes, where there is none.
    private mutating func make(size: Int, in tmpfs: PrivateTmpfs, charge: inout Charge) throws(Errno) {
        guard number == 0 else { return }
        if let faults = charge.ledger.faults, faults.strikes(.block) { throw .noSpace }
        if !isPaid {
            let reservation = try charge.ledger.reserve(PrivateTmpfs.fileCost)
            number = try tmpfs.make()
            reservation.commit(into: &charge, data: 0, metadata: PrivateTmpfs.fileCost)
            isPaid = true
        } else {
            number = try tmpfs.make()
        }
        hasHeld = size > 0
        if size > 0 {
            try tmpfs.withDescriptor(of: number) { (file) throws(Errno) in
                try BackedFile.truncate(file, to: size)
            }
        }
        note(try tmpfs.status(of: number))
    }

    /// Takes the file away again, with what it cost.
    private mutating func removeFile(
        keepingPaid: Bool = false, in tmpfs: PrivateTmpfs, charge: inout Charge
    ) {
        if number != 0 { tmpfs.remove(number) }
        charge.shrink(data: -dataBytes, metadata: keepingPaid ? 0 : -metadataBytes)
        number = 0
        pages = 0
        isPaid = isPaid && keepingPaid
        hasHeld = false
        mayReachBeyondEnd = false
    }

    private mutating func note(_ status: linux_file) {
        seenChange = status.modified_seconds &* 1_000_000_000 &+ status.modified_nanoseconds
        if status.size > 0 || status.bytes > 0 { hasHeld = true }
    }

    /// Charges what there is now, and takes the present time of change for our own doing.
    private mutating func settle(in tmpfs: PrivateTmpfs, charge: inout Charge) throws(Errno) {
        let status = try tmpfs.status(of: number)
        note(status)
        takeOver(status, charge: &charge)
    }

    private mutating func takeOver(_ status: linux_file, charge: inout Charge) {
        let found = UInt32(clamping: status.bytes / Int64(Self.pageBytes))
        let change = (Int(found) - Int(pages)) * Self.pageBytes
        if change > 0 { charge.takeOver(data: change) } else { charge.shrink(data: change, metadata: 0) }
        pages = found
    }

    /// What has become of the file without a request; nil where there is none.
    mutating func observe(in tmpfs: PrivateTmpfs, charge: inout Charge) -> FileObservation? {
        guard number != 0 else { return nil }
        do throws(Errno) {
            let status = try tmpfs.status(of: number)
            let seenBefore = seenChange
            note(status)
            takeOver(status, charge: &charge)
            var seen = FileObservation(size: status.size)
            guard seenChange != seenBefore else { return seen }
            seen.modified = Timestamp(
                seconds: status.modified_seconds, nanoseconds: UInt32(status.modified_nanoseconds))
            seen.changed = Timestamp(
                seconds: status.changed_seconds, nanoseconds: UInt32(status.changed_nanoseconds))
            return seen
        } catch {
            // Out of kernel memory: what was seen last serves.
            return nil
        }
    }

    /// Whether somebody may store into the file without a request from now on: who has it open to write, or
    /// has it mapped so, also when it was closed since.
    mutating func mayChange(in tmpfs: PrivateTmpfs) -> Bool {
        guard mayBeMapped, number != 0 else { return false }
        if opens == 0, !tmpfs.isOpenForWriting(number) { mayBeMapped = false }
        return mayBeMapped
    }

    /// Frees everything. Must be called before the value is dropped.
    mutating func free(in tmpfs: PrivateTmpfs, charge: inout Charge) {
        removeFile(in: tmpfs, charge: &charge)
    }

    // MARK: Opening

    /// Opens the file once more and returns what it is registered as.
    mutating func open(
        for mode: OpenMode, size: Int, in tmpfs: PrivateTmpfs, charge: inout Charge,
        with registry: any BackingRegistry
    ) throws(Errno) -> Int32 {
        let wasThere = number != 0
        do throws(Errno) {
            try make(size: size, in: tmpfs, charge: &charge)
            if opens == 0 {
                backing = try tmpfs.withDescriptor(of: number) { (file) throws(Errno) in
                    try registry.register(file)
                }
            }
        } catch {
            if !wasThere { removeFile(in: tmpfs, charge: &charge) }
            throw error
        }
        opens += 1
        if mode == .writing { mayBeMapped = true }
        return backing
    }

    /// Ends one opening. A file that never held anything goes with the last.
    mutating func release(in tmpfs: PrivateTmpfs, charge: inout Charge, with registry: any BackingRegistry) {
        guard opens > 0 else { return }
        opens -= 1
        guard opens == 0 else { return }
        registry.unregister(backing)
        if !hasHeld { removeFile(in: tmpfs, charge: &charge) }
    }

    // MARK: Bytes

    /// Reserves what `range` lacks, and then has `change` make it so, all or nothing.
    private mutating func growing(
        _ range: Range<Int>, size: Int, in tmpfs: PrivateTmpfs, charge: inout Charge,
        _ change: (_ file: Int32, _ missing: Int, QuotaLedger) throws(Errno) -> Void
    ) throws(Errno) {
        let (wasThere, wasPaid) = (number != 0, isPaid)
        do throws(Errno) {
            let missing = try pagesMissing(in: range, size: size, in: tmpfs, charge: &charge)
            let reservation = try charge.ledger.reserve(missing * Self.pageBytes, behindWall: true)
            let ledger = charge.ledger
            try tmpfs.withDescriptor(of: number) { (file) throws(Errno) in
                try change(file, missing, ledger)
            }
            reservation.commit(into: &charge, data: missing * Self.pageBytes, metadata: 0)
            pages += UInt32(missing)
        } catch {
            // A file that was made for nothing goes again, and what was undone is no change.
            if !wasThere {
                removeFile(keepingPaid: wasPaid, in: tmpfs, charge: &charge)
            } else {
                try settle(in: tmpfs, charge: &charge)
            }
            throw error
        }
        try settle(in: tmpfs, charge: &charge)
    }

    /// How many pages of a range are not there: neither written, nor mapped, nor allocated.
    ///
    /// Throws `.noSpace` for a range that no limit holds.
    private mutating func pagesMissing(
        in range: Range<Int>, size: Int, in tmpfs: PrivateTmpfs, charge: inout Charge
    ) throws(Errno) -> Int {
        let first = range.lowerBound / Self.pageBytes
        let count = (range.upperBound - 1) / Self.pageBytes - first + 1
        let limit = charge.ledger.leastLimitBytes
        guard count - Int(pages) <= limit / Self.pageBytes else {
            _ = try charge.ledger.reserve(limit + 1, behindWall: true)
            throw .noSpace
        }
        try make(size: size, in: tmpfs, charge: &charge)
        return try tmpfs.withDescriptor(of: number) { (file) throws(Errno) in
            let there = linux_pages_there(
                file, Int64(first * BackedFile.pageBytes), Int64(count * BackedFile.pageBytes))
            guard there >= 0 else { throw Errno(rawValue: Int32(-there)) }
            return count - Int(there)
        }
    }

    /// Has the kernel take the pages of a range that are missing, all or none. Throws `.noSpace` where the
    /// wall is reached.
    private static func provide(
        _ range: Range<Int>, _ missing: Int, keepingSize: Bool, of file: Int32, _ ledger: QuotaLedger
    ) throws(Errno) {
        // Without the flag the end is moved as well.
        if missing == 0, keepingSize { return }
        let mode = keepingSize ? linux_falloc_keep_size : 0
        if let faults = ledger.faults, faults.strikes(.pages) { throw .noSpace }
        let (start, count) = (Int64(range.lowerBound), Int64(range.count))
        if linux_fallocate(file, mode, start, count) == 0 { return }
        // The wall may be nearer than it must be.
        guard errno == ENOSPC, let wall = ledger.wall else { throw refusal(errno, range.count, ledger) }
        wall.widen()
        guard linux_fallocate(file, mode, start, count) == 0 else {
            throw refusal(errno, range.count, ledger)
        }
    }

    private static func refusal(_ code: Int32, _ bytes: Int, _ ledger: QuotaLedger) -> Errno {
        code == ENOSPC || code == ENOMEM ? ledger.refuseAtWall(bytes) : Errno(rawValue: code)
    }

    mutating func write(
        _ bytes: RawSpan, at offset: Int, size: Int, in tmpfs: PrivateTmpfs, charge: inout Charge
    ) throws(Errno) {
        guard bytes.byteCount > 0 else { return }
        let range = offset..<offset + bytes.byteCount
        let isUndoable = offset >= size && !mayReachBeyondEnd
        try growing(range, size: size, in: tmpfs, charge: &charge) { (file, missing, ledger) throws(Errno) in
            if isUndoable, try BackedFile.append(bytes, at: offset, size: size, in: file, ledger) { return }
            try BackedFile.provide(range, missing, keepingSize: true, of: file, ledger)
            try BackedFile.store(bytes, at: offset, in: file)
        }
    }

    /// Writes behind the end of a file that has nothing there, where a truncation undoes what was written of
    /// it: so the kernel need not walk over the pages twice. Returns false where the wall is in the way.
    private static func append(
        _ bytes: RawSpan, at offset: Int, size: Int, in file: Int32, _ ledger: QuotaLedger
    ) throws(Errno) -> Bool {
        let isStruck = ledger.faults?.strikes(.pages) ?? false
        do throws(Errno) {
            try store(isStruck ? bytes.extracting(first: bytes.byteCount / 2) : bytes, at: offset, in: file)
            if !isStruck { return true }
        } catch {
            guard error == .noSpace else {
                try truncate(file, to: size)
                throw error
            }
        }
        try truncate(file, to: size)
        if isStruck { throw .noSpace }
        return false
    }

    private static func truncate(_ file: Int32, to size: Int) throws(Errno) {
        guard ftruncate(file, size) == 0 else { throw Errno(rawValue: errno) }
    }

    private static func store(_ bytes: RawSpan, at offset: Int, in file: Int32) throws(Errno) {
        let failure = unsafe bytes.withUnsafeBytes { source in
            var done = 0
            while done < source.count {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: source[done...])
                let count = unsafe pwrite(file, rest.baseAddress, rest.count, offset + done)
                if count <= 0 { return count < 0 ? errno : EIO }
                done += count
            }
            return 0
        }
        guard failure == 0 else { throw Errno(rawValue: failure) }
    }

    mutating func allocate(
        _ range: Range<Int>, size: Int, keepingSize: Bool, in tmpfs: PrivateTmpfs, charge: inout Charge
    ) throws(Errno) {
        try growing(range, size: size, in: tmpfs, charge: &charge) { (file, missing, ledger) throws(Errno) in
            try BackedFile.provide(range, missing, keepingSize: keepingSize, of: file, ledger)
        }
        mayReachBeyondEnd = mayReachBeyondEnd || keepingSize
    }

    /// tmpfs has no ZERO_RANGE: zeros are written over what the file has.
    mutating func zero(
        _ range: Range<Int>, size: Int, keepingSize: Bool, in memory: Memory, _ tmpfs: PrivateTmpfs,
        charge: inout Charge
    ) throws(Errno) {
        mayReachBeyondEnd = mayReachBeyondEnd || keepingSize
        try growing(range, size: size, in: tmpfs, charge: &charge) { (file, missing, ledger) throws(Errno) in
            try BackedFile.provide(range, missing, keepingSize: keepingSize, of: file, ledger)
            var offset = range.lowerBound
            let end = min(range.upperBound, size)
            while offset < end {
                let count = min(end - offset, Memory.zeroBytes)
                try BackedFile.store(
                    unsafe UnsafeRawBufferPointer(start: memory.zeroAddress, count: count).bytes, at: offset,
                    in: file)
                offset += count
            }
        }
    }

    /// Sets the size of the file; a growth is a hole.
    mutating func resize(to size: Int, in tmpfs: PrivateTmpfs, charge: inout Charge) throws(Errno) {
        guard number != 0 else { return }
        try tmpfs.withDescriptor(of: number) { (file) throws(Errno) in
            try BackedFile.truncate(file, to: size)
        }
        try settle(in: tmpfs, charge: &charge)
    }

    mutating func punch(
        _ range: Range<Int>, size: Int, in tmpfs: PrivateTmpfs, charge: inout Charge
    ) throws(Errno) {
        guard number != 0 else { return }
        var end = range.upperBound
        // A last page that has no byte outside of the hole goes too.
        if end >= size, end <= Int.max - Self.pageBytes { end = (end + 4095) & ~4095 }
        try tmpfs.withDescriptor(of: number) { (file) throws(Errno) in
            let mode = linux_falloc_punch_hole | linux_falloc_keep_size
            guard linux_fallocate(file, mode, Int64(range.lowerBound), Int64(end - range.lowerBound)) == 0
            else { throw Errno(rawValue: errno) }
        }
        try settle(in: tmpfs, charge: &charge)
    }

    func read(
        _ range: Range<Int>, in memory: Memory, _ tmpfs: PrivateTmpfs,
        _ body: (borrowing Segments) -> Void
    ) throws(Errno) {
        if number == 0 || range.isEmpty {
            var zeros = unsafe iovec(
                iov_base: memory.zeroAddress, iov_len: min(range.count, Memory.zeroBytes))
            unsafe withUnsafePointer(to: &zeros) { vector in
                let only = unsafe UnsafeBufferPointer(start: vector, count: 1)
                body(unsafe Segments(only, byteCount: vector.pointee.iov_len))
            }
            return
        }
        try tmpfs.withDescriptor(of: number) { (file) throws(Errno) in
            try unsafe withUnsafeTemporaryAllocation(byteCount: range.count, alignment: 4096) {
                (room) throws(Errno) in
                let count = unsafe pread(file, room.baseAddress, range.count, range.lowerBound)
                guard count >= 0 else { throw Errno(rawValue: errno) }
                var vector = unsafe iovec(iov_base: room.baseAddress, iov_len: count)
                unsafe withUnsafePointer(to: &vector) {
                    body(unsafe Segments(UnsafeBufferPointer(start: $0, count: 1), byteCount: count))
                }
            }
        }
    }

    func seek(
        _ kind: SparseSeek, from offset: Int, size: Int, in tmpfs: PrivateTmpfs
    ) throws(Errno) -> Int {
        guard offset < size else { throw .noSuchAddressOrDevice }
        guard number != 0 else {
            guard kind == .hole else { throw .noSuchAddressOrDevice }
            return offset
        }
        return try tmpfs.withDescriptor(of: number) { (file) throws(Errno) in
            let found = lseek(file, offset, kind == .data ? linux_seek_data : linux_seek_hole)
            guard found >= 0 else { throw Errno(rawValue: errno) }
            return found
        }
    }

    /// Stops the program where the file has other pages than are charged.
    func auditedCost(in tmpfs: PrivateTmpfs) throws(Errno) -> Int {
        if number != 0 {
            precondition(isPaid, "a backed file is there that nobody has paid for")
            let found = Int(try tmpfs.status(of: number).bytes)
            precondition(found == dataBytes, "a file is charged \(dataBytes), but takes \(found)")
        }
        return dataBytes + metadataBytes
    }
}
