public import Basics
import CLinux
import Glibc
import Synchronization

/// A tmpfs that is mounted nowhere, for the bytes of files that the kernel reads, writes and maps by itself.
///
/// Files are named by a number, which is never used twice, and a bounded set of them is open. It ends with
/// the process, however that ends, and with the last file of it that somebody else has open. Its functions
/// may be called from any thread; those on one file only by who holds the lock of the inode that owns it.
public final class PrivateTmpfs: Sendable {
    /// Whether large files get huge pages: tmpfs's option `huge`.
    public enum Huge: String, Hashable, Sendable, CaseIterable {
        case never
        case withinSize = "within_size"
    }

    /// What the kernel holds for each file beside its pages, in bytes: its inode, its name, and its place in
    /// the directory. Measured; Accounting.md has the command.
    public static let fileCost = 1040

    private let root: Int32
    private let lastNumber = Atomic<UInt64>(0)
    private let open: Lock<DescriptorSet>

    /// Throws what the kernel says: `.notPermitted` without CAP_SYS_ADMIN.
    ///
    /// - Parameters:
    ///   - bytes: what it may hold at first.
    ///   - descriptors: how many files of it are open at the most; at least 8.
    public init(bytes: Int, huge: Huge = .never, descriptors: Int = 512) throws(Errno) {
        let size = Int64(max(bytes & ~4095, 4096))
        let made = unsafe huge.rawValue.withCString { unsafe linux_tmpfs_make(size, $0) }
        guard made >= 0 else { throw Errno(rawValue: -made) }
        root = made
        open = Lock(DescriptorSet(capacity: descriptors))
    }

    deinit {
        close(root)
    }

    /// Sets what it may hold, in bytes: whole pages. Returns false where it holds more.
    public func resize(to bytes: Int) -> Bool {
        linux_tmpfs_resize(root, Int64(bytes)) == 0
    }

    /// What its files take, in bytes, whoever stored it.
    public var usedBytes: Int {
        Int(max(0, linux_tmpfs_used(root)))
    }

    private func withName<Result>(_ number: UInt64, _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        unsafe String(number, radix: 36).withCString { unsafe body($0) }
    }

    /// Makes an empty file and returns its number.
    func make() throws(Errno) -> UInt64 {
        let number = lastNumber.wrappingAdd(1, ordering: .relaxed).newValue
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
        let made = unsafe withName(number) { unsafe openat(root, $0, flags, 0o600) }
        guard made >= 0 else { throw Errno(rawValue: errno) }
        if keep(made, for: number) { release(number) } else { close(made) }
        return number
    }

    /// Lends a descriptor of a file that is there.
    func withDescriptor<Result>(
        of number: UInt64, _ body: (Int32) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        if let descriptor = open.withLock({ $0.borrow(number) }) {
            defer { release(number) }
            return try body(descriptor)
        }
        let made = unsafe withName(number) { unsafe openat(root, $0, O_RDWR | O_CLOEXEC) }
        guard made >= 0 else { throw Errno(rawValue: errno) }
        let isKept = keep(made, for: number)
        defer { if isKept { release(number) } else { close(made) } }
        return try body(made)
    }

    /// Returns whether the set has the descriptor, which is then in use.
    private func keep(_ descriptor: Int32, for number: UInt64) -> Bool {
        switch open.withLock({ $0.add(number, descriptor) }) {
        case .refused: return false
        case .inUse(let spare):
            if let spare { close(spare) }
            return true
        }
    }

    private func release(_ number: UInt64) {
        open.withLock { $0.release(number) }
    }

    /// Removes a file. Its pages are free when nobody else has it open or mapped.
    func remove(_ number: UInt64) {
        if let descriptor = open.withLock({ $0.remove(number) }) { close(descriptor) }
        _ = unsafe withName(number) { unsafe unlinkat(root, $0, 0) }
    }

    /// What there is of a file, without opening it.
    func status(of number: UInt64) throws(Errno) -> linux_file {
        var status = linux_file()
        let result: Int32
        if let descriptor = open.withLock({ $0.borrow(number) }) {
            result = unsafe linux_file_status(descriptor, &status)
            release(number)
        } else {
            result = unsafe withName(number) { unsafe linux_file_status_at(root, $0, &status) }
        }
        guard result == 0 else { throw Errno(rawValue: -result) }
        return status
    }

    /// Whether anybody else has a file open for writing, or mapped so.
    ///
    /// The kernel gives no lease on a file that is. Where it gives none at all the answer is yes.
    func isOpenForWriting(_ number: UInt64) -> Bool {
        if let descriptor = open.withLock({ $0.remove(number) }) { close(descriptor) }
        let file = unsafe withName(number) { unsafe openat(root, $0, O_RDONLY | O_CLOEXEC) }
        guard file >= 0 else { return true }
        defer { close(file) }
        // Closing it gives the lease back.
        return linux_take_read_lease(file) != 0
    }

    /// Lends a descriptor of a file that is removed afterwards: for looking at what the kernel can do with
    /// such files.
    public func withSpareFile<Result>(_ body: (Int32) throws(Errno) -> Result) throws(Errno) -> Result {
        let number = try make()
        defer { remove(number) }
        return try withDescriptor(of: number, body)
    }

    /// Whether this kernel, with huge pages, takes no more for a file than what is written to it: at its end,
    /// into a hole, and through a mapping.
    public static func takesExactHugePages() throws(Errno) -> Bool {
        let tmpfs = try PrivateTmpfs(bytes: 64 << 20, huge: .withinSize, descriptors: 8)
        return try tmpfs.withSpareFile { (file) throws(Errno) in
            let bytes = [UInt8](repeating: 1, count: 100_000)
            let places = [0, 16 << 20]
            for place in places {
                let count = unsafe bytes.withUnsafeBytes {
                    unsafe pwrite(file, $0.baseAddress, $0.count, place)
                }
                guard count == bytes.count else { return false }
            }
            guard ftruncate(file, 32 << 20) == 0 else { return false }
            let hole = unsafe bytes.withUnsafeBytes { unsafe pwrite(file, $0.baseAddress, 1, 8 << 20) }
            guard hole == 1, linux_store_mapped(file, 24 << 20) == 0 else { return false }
            var status = linux_file()
            guard unsafe linux_file_status(file, &status) == 0 else { return false }
            return status.bytes == Int64((2 * 25 + 2) * 4096)
        }
    }
}
