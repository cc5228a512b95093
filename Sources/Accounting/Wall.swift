import Basics
import Synchronization

/// The second wall: it bounds the bytes that are stored without a request, where the kernel writes and maps
/// files itself.
///
/// Such bytes lie in a filesystem of their own, whose size is the wall. Invariant: `capacity + metadata <=
/// limit`, but for a limit that drains; so what is really stored and the metadata stay within the limit,
/// whoever stored it. Metadata grows against the wall: where there is no room left the wall comes nearer
/// first, and where it cannot, since the bytes are there, the growth is refused. It moves in steps, so that
/// most requests do not move it; it is then up to two steps nearer than it must be, and `widen` brings it to
/// where it may be.
public final class Wall: Sendable {
    private static let pageBytes = 4096

    private let limit: Atomic<Int>
    private let capacity: Atomic<Int>
    private let metadata = Atomic<Int>(0)
    private let stepBytes: Int
    /// Rank 3: who moves the wall. Whether it is held where it is.
    private let isHeld = Lock(false)
    private let resize: @Sendable (Int) -> Bool
    private let usedBytesNow: @Sendable () -> Int

    /// - Parameters:
    ///   - limitBytes: what the bytes and the metadata may be together; at least two pages.
    ///   - resize: sets the size of the filesystem, in bytes, and returns whether it did: it refuses to be
    ///     smaller than what it holds.
    ///   - used: what the filesystem holds, in bytes.
    public init(
        limitBytes: Int, resize: @escaping @Sendable (Int) -> Bool, used: @escaping @Sendable () -> Int
    ) {
        limit = Atomic(limitBytes)
        stepBytes = min(1 << 20, max(16 * Wall.pageBytes, limitBytes / 1024 & ~(Wall.pageBytes - 1)))
        let first = max(Wall.pageBytes, limitBytes & ~(Wall.pageBytes - 1))
        capacity = Atomic(first)
        self.resize = resize
        usedBytesNow = used
        _ = resize(first)
    }

    /// What may be stored at the most, in bytes.
    public var capacityBytes: Int { capacity.load(ordering: .relaxed) }
    /// What is stored, in bytes, by request or not.
    public var usedBytes: Int { usedBytesNow() }
    /// All metadata that is in use or set aside, in bytes.
    public var metadataBytes: Int { metadata.load(ordering: .relaxed) }

    /// Makes room for `bytes` more of metadata, or returns false and changes nothing.
    func admit(_ bytes: Int) -> Bool {
        // Added first and compared then, as a move stores first and looks then: one of the two sees the
        // other.
        let wanted = metadata.wrappingAdd(bytes, ordering: .sequentiallyConsistent).newValue
        if wanted + capacity.load(ordering: .sequentiallyConsistent) <= limit.load(ordering: .relaxed) {
            return true
        }
        let hasRoom = isHeld.withLock { _ in
            let room = limit.load(ordering: .relaxed) - metadata.load(ordering: .sequentiallyConsistent)
            return draw(nearer: room - stepBytes) || draw(nearer: room)
        }
        if !hasRoom { metadata.wrappingSubtract(bytes, ordering: .relaxed) }
        return hasRoom
    }

    /// Metadata has changed by `bytes`, for which there was room, or something was freed.
    func settle(_ bytes: Int) {
        let now = metadata.wrappingAdd(bytes, ordering: .relaxed).newValue
        let room = limit.load(ordering: .relaxed) - now - capacity.load(ordering: .relaxed)
        if room > 2 * stepBytes {
            isHeld.withLock { isHeld in
                if !isHeld { move(leaving: stepBytes) }
            }
        } else if room < 0 {
            // A limit that drains: the wall follows what is freed.
            isHeld.withLock { _ in follow() }
        }
    }

    /// Moves the wall to where it may be: before bytes are refused, and before it is said what is free.
    public func widen() {
        isHeld.withLock { isHeld in
            if !isHeld { move(leaving: 0) }
        }
    }

    /// Keeps the wall at what is stored now, as memory is short, or lets it go again.
    public func hold(_ wanted: Bool) {
        isHeld.withLock { isHeld in
            isHeld = wanted
            if wanted { drawToUse() } else { move(leaving: stepBytes) }
        }
    }

    /// Follows the mount's limit. Below what is used only where `draining`. Returns whether it was set.
    public func setLimit(_ bytes: Int, draining: Bool) -> Bool {
        isHeld.withLock { isHeld in
            let before = limit.exchange(bytes, ordering: .sequentiallyConsistent)
            if bytes >= before {
                if !isHeld { move(leaving: stepBytes) }
                return true
            }
            if draw(nearer: bytes - metadata.load(ordering: .sequentiallyConsistent)) { return true }
            guard draining else {
                limit.store(before, ordering: .sequentiallyConsistent)
                return false
            }
            drawToUse()
            return true
        }
    }

    // MARK: With the lock held

    /// Brings the wall to `bytes` or nearer. Returns false where more is stored.
    private func draw(nearer bytes: Int) -> Bool {
        let size = bytes & ~(Wall.pageBytes - 1)
        // tmpfs takes 0 for "without a limit".
        guard size >= Wall.pageBytes else { return false }
        if capacity.load(ordering: .relaxed) <= size { return true }
        guard resize(size) else { return false }
        capacity.store(size, ordering: .sequentiallyConsistent)
        return true
    }

    private func drawToUse() {
        // What is stored grows while we look: then it is what there is a moment later.
        for _ in 0..<100 {
            if draw(nearer: max(usedBytesNow(), Wall.pageBytes)) { return }
        }
    }

    private func follow() {
        let room = limit.load(ordering: .relaxed) - metadata.load(ordering: .sequentiallyConsistent)
        if !draw(nearer: room) { drawToUse() }
    }

    /// Moves the wall outwards, to leave so much for metadata; never inwards.
    private func move(leaving spare: Int) {
        let before = capacity.load(ordering: .relaxed)
        var seen = metadata.load(ordering: .sequentiallyConsistent)
        while true {
            let room = limit.load(ordering: .relaxed) - seen - spare
            let size = max(before, room & ~(Wall.pageBytes - 1))
            guard size > before else {
                capacity.store(before, ordering: .sequentiallyConsistent)
                return
            }
            capacity.store(size, ordering: .sequentiallyConsistent)
            let now = metadata.load(ordering: .sequentiallyConsistent)
            // Who adds metadata from now on sees where the wall will be.
            if now <= seen + spare {
                if !resize(size) { capacity.store(before, ordering: .sequentiallyConsistent) }
                return
            }
            seen = now
        }
    }
}
