import CLinux
import Synchronization

/// A lock of four bytes: one futex word, without the value that it guards.
///
/// `Lock` below owns its value and is what most code wants. An inode, of which there are millions, keeps the
/// bare word beside its state. Why not `Synchronization.Mutex`: its slow path is not instrumented, so that
/// the thread sanitizer reports races that are none. Not recursive: a second `lock` by the holder waits for
/// ever, and stops a debug build.
@safe public struct LockWord: ~Copyable, Sendable {
    /// 0: free; 1: held; 2: held, and somebody may be waiting.
    private let word = Atomic<UInt32>(0)

    public init() {}

    /// - Parameter rank: where the lock stands in the order, which debug builds check.
    public borrowing func lock(as rank: LockRank) {
        rank.willTake()
        // Relaxed on failure: the slow path looks again.
        if word.compareExchange(
            expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed
        ).exchanged {
            return
        }
        lockSlowly()
    }

    /// Takes the lock if it is free. Returns whether it did.
    public borrowing func lockIfFree(as rank: LockRank) -> Bool {
        guard
            word.compareExchange(
                expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed
            ).exchanged
        else { return false }
        rank.willTake()
        return true
    }

    public borrowing func unlock(as rank: LockRank) {
        rank.didRelease()
        if word.exchange(0, ordering: .releasing) == 2 {
            unsafe word.withFutex { unsafe linux_futex_wake_one($0) }
        }
    }

    private borrowing func lockSlowly() {
        // Holders keep a lock for about a microsecond: a short spin saves most system calls.
        for _ in 0..<64 {
            if word.load(ordering: .relaxed) == 0,
                word.compareExchange(
                    expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed
                ).exchanged
            {
                return
            }
            spinHint()
        }
        while word.exchange(2, ordering: .acquiring) != 0 {
            unsafe word.withFutex { unsafe linux_futex_wait($0, 2) }
        }
    }
}

extension Atomic<UInt32> {
    /// Lends the address of the word. It is stable: an `Atomic` cannot be copied; nobody moves one in use.
    @unsafe borrowing func withFutex(_ body: (UnsafePointer<UInt32>) -> Void) {
        unsafe withUnsafePointer(to: self) {
            unsafe body(UnsafeRawPointer($0).assumingMemoryBound(to: UInt32.self))
        }
    }
}

/// Tells the processor that this is a spin, so that the other thread on the core gets on.
@inline(__always)
private func spinHint() {
    linux_spin_hint()
}

/// A value that can be reached only while its lock is held.
@safe public struct Lock<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    @usableFromInline let word = LockWord()
    @usableFromInline let rank: LockRank
    /// Of its own, so that the value has one address while the lock itself may still be moved into place.
    @usableFromInline let storage: UnsafeMutablePointer<Value>

    public init(_ value: consuming Value, as rank: LockRank = .leaf) {
        self.rank = rank
        unsafe storage = .allocate(capacity: 1)
        unsafe storage.initialize(to: value)
    }

    deinit {
        unsafe storage.deinitialize(count: 1)
        unsafe storage.deallocate()
    }

    /// Runs `body` with the value while the lock is held.
    @inlinable
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        word.lock(as: rank)
        defer { word.unlock(as: rank) }
        return unsafe try body(&storage.pointee)
    }

    /// The same where the lock is free; nil where it is not.
    @inlinable
    public borrowing func withLockIfFree<Result>(_ body: (inout Value) -> Result) -> Result? {
        guard word.lockIfFree(as: rank) else { return nil }
        defer { word.unlock(as: rank) }
        return unsafe body(&storage.pointee)
    }
}
