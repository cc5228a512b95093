public import Accounting
public import Basics

/// How names come and go: the tree grows by splits and shrinks by merges.
extension NameMap {
    /// Adds `name`, which must not be there.
    ///
    /// - Throws: `.noSpace` or `.diskQuotaExceeded` where what the map lacks does not fit; it is then as it
    ///   was.
    public mutating func insert(
        _ name: RawSpan, _ node: NodeID, _ kind: FileKind, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        let cookie = try freeCookie(for: name, memory)
        let bytes = NameLeaf.entryBytes(name.byteCount)
        if root == 0 {
            try replaceRootLeaf(holding: bytes, in: memory, charge: &charge)
        }
        var cursor = cursor(at: cookie, memory)
        if !cursor.leaf.hasRoom(for: bytes) {
            if height == 0, cursor.leaf.capacity < BlockHeap.largestClassBytes {
                let wanted = cursor.leaf.entriesBytes + bytes
                if NameLeaf.leafBytes(wanted) <= BlockHeap.largestClassBytes {
                    try replaceRootLeaf(holding: wanted, in: memory, charge: &charge)
                } else {
                    try replaceRootLeaf(
                        holding: BlockHeap.largestClassBytes - NameLeaf.leafBytes(0), in: memory,
                        charge: &charge)
                }
                cursor = self.cursor(at: cookie, memory)
            }
            if !cursor.leaf.hasRoom(for: bytes) {
                do throws(Errno) {
                    try split(cursor, in: memory, charge: &charge)
                } catch {
                    shrinkRootLeaf(in: memory, charge: &charge)
                    throw error
                }
                cursor = self.cursor(at: cookie, memory)
            }
        }
        cursor.leaf.insert(name, cookie, node, kind, memory)
        count += 1
    }

    /// Removes `name` and returns what it stood for; nil where it is not there. Never fails for want of
    /// memory.
    @discardableResult
    public mutating func remove(_ name: RawSpan, in memory: Memory, charge: inout Charge) -> Found? {
        guard let cursor = cursor(of: name, memory) else { return nil }
        let found = cursor.leaf.found(at: cursor.position)
        cursor.leaf.remove(at: cursor.position)
        count -= 1
        if height > 0 { mergeLeaf(cursor, in: memory, charge: &charge) }
        shrinkRootLeaf(in: memory, charge: &charge)
        return found
    }

    // MARK: - The only leaf

    /// Gives the root leaf a block that holds entries of `bytes` bytes together.
    private mutating func replaceRootLeaf(
        holding bytes: Int, in memory: Memory, charge: inout Charge
    ) throws(Errno) {
        let wanted = NameLeaf.leafBytes(bytes)
        let growth = BlockHeap.cost(wanted) - memory.cost(ofBlock: root)
        let reservation = try charge.ledger.reserve(max(0, growth))
        let new = try memory.allocate(wanted).keep()
        exchangeRootLeaf(for: new, memory)
        reservation.commit(into: &charge, data: 0, metadata: growth)
    }

    private mutating func exchangeRootLeaf(for new: UInt64, _ memory: Memory) {
        let leaf = NameLeaf(new, memory)
        leaf.clear()
        if root != 0 {
            let old = NameLeaf(root, memory)
            leaf.append(old, 0..<old.count)
            memory.free(root)
        }
        root = new
    }

    /// Makes the block of a directory of one leaf as small as what is in it permits.
    private mutating func shrinkRootLeaf(in memory: Memory, charge: inout Charge) {
        guard height == 0, root != 0 else { return }
        let leaf = NameLeaf(root, memory)
        let before = memory.cost(ofBlock: root)
        if leaf.count == 0 {
            memory.free(root)
            root = 0
        } else {
            let wanted = NameLeaf.leafBytes(leaf.entriesBytes)
            guard BlockHeap.capacity(for: wanted) < leaf.capacity, let new = memory.allocateIfPossible(wanted)
            else {
                return
            }
            exchangeRootLeaf(for: new, memory)
        }
        charge.shrink(data: 0, metadata: memory.cost(ofBlock: root) - before)
    }

    // MARK: - Splitting

    /// Splits the leaf at `cursor`, and every full node above it. All memory is taken before anything
    /// changes.
    private mutating func split(_ cursor: Cursor, in memory: Memory, charge: inout Charge) throws(Errno) {
        var needed = 1
        var depth = Int(height)
        while depth > 0, let step = cursor.steps[depth - 1], step.node.count == NameBranch.limit {
            needed += 1
            depth -= 1
        }
        if depth == 0 { needed += 1 }
        precondition(needed <= NameMap.depthLimit)
        let cost = needed * BlockHeap.cost(BlockHeap.largestClassBytes)
        let reservation = try charge.ledger.reserve(cost)
        var spares = SpareNodes(of: memory)
        for _ in 0..<needed { try spares.add() }

        let right = NameLeaf(spares.take(), memory)
        let middle = cursor.leaf.middle
        right.clear()
        right.append(cursor.leaf, middle..<cursor.leaf.count)
        cursor.leaf.truncate(to: middle)
        insertChild(right.location, key: right.cookie(at: 0), above: cursor, &spares, memory)
        reservation.commit(into: &charge, data: 0, metadata: cost)
    }

    private mutating func insertChild(
        _ child: UInt64, key: UInt64, above cursor: Cursor, _ spares: inout SpareNodes, _ memory: Memory
    ) {
        var child = child
        var key = key
        var depth = Int(height)
        while depth > 0, let step = cursor.steps[depth - 1] {
            let node = step.node
            guard node.count == NameBranch.limit else {
                node.insert(key, child, at: step.position + 1)
                return
            }
            let right = NameBranch(spares.take(), memory)
            right.clear()
            let middle = node.count / 2
            let separator = node.key(at: middle)
            node.move(from: middle, to: right)
            if step.position + 1 <= middle {
                node.insert(key, child, at: step.position + 1)
            } else {
                right.insert(key, child, at: step.position + 1 - middle)
            }
            child = right.location
            key = separator
            depth -= 1
        }
        let top = NameBranch(spares.take(), memory)
        top.clear()
        top.insert(0, root, at: 0)
        top.insert(key, child, at: 1)
        root = top.location
        height += 1
    }

    // MARK: - Merging

    /// After a removal: drops an empty leaf, or joins a nearly empty one with a neighbor.
    private mutating func mergeLeaf(_ cursor: Cursor, in memory: Memory, charge: inout Charge) {
        guard let parent = cursor.steps[Int(height) - 1] else { return }
        let leaf = cursor.leaf
        if leaf.count == 0 {
            removeChild(at: parent.position, above: cursor, in: memory, charge: &charge)
            return
        }
        let joinLimit = BlockHeap.largestClassBytes * 3 / 4
        guard NameLeaf.leafBytes(leaf.entriesBytes) < BlockHeap.largestClassBytes / 3 else { return }
        // With the neighbor behind it, then with the one before it.
        for back in 0...1 {
            let leftPosition = parent.position - back
            guard leftPosition >= 0, leftPosition + 1 < parent.node.count else { continue }
            let left = NameLeaf(parent.node.child(at: leftPosition), memory)
            let right = NameLeaf(parent.node.child(at: leftPosition + 1), memory)
            guard NameLeaf.leafBytes(left.entriesBytes + right.entriesBytes) <= joinLimit else { continue }
            left.truncate(to: left.count)
            left.append(right, 0..<right.count)
            removeChild(at: leftPosition + 1, above: cursor, in: memory, charge: &charge)
            return
        }
    }

    /// Frees a leaf that the lowest inner node at `cursor` holds at `position`, and what becomes empty above
    /// it.
    private mutating func removeChild(
        at position: Int, above cursor: Cursor, in memory: Memory, charge: inout Charge
    ) {
        var depth = Int(height)
        var position = position
        var freed = 0
        while depth > 0, let step = cursor.steps[depth - 1] {
            memory.free(step.node.child(at: position))
            freed += 1
            step.node.remove(at: position)
            if step.node.count > 0 { break }
            depth -= 1
            position = depth > 0 ? cursor.steps[depth - 1]?.position ?? 0 : 0
            if depth == 0 {
                memory.free(root)
                freed += 1
                root = 0
                height = 0
            }
        }
        while height > 0 {
            let top = NameBranch(root, memory)
            guard top.count == 1 else { break }
            let only = top.child(at: 0)
            memory.free(root)
            freed += 1
            root = only
            height -= 1
        }
        charge.shrink(data: 0, metadata: -freed * BlockHeap.cost(BlockHeap.largestClassBytes))
    }
}

/// Blocks for nodes that are about to be made: those not taken are freed on `deinit`.
private struct SpareNodes: ~Copyable {
    private let memory: Memory
    private var locations = InlineArray<8, UInt64>(repeating: 0)
    private var count = 0

    init(of memory: Memory) {
        self.memory = memory
    }

    mutating func add() throws(Errno) {
        locations[count] = try memory.allocate(BlockHeap.largestClassBytes).keep()
        count += 1
    }

    mutating func take() -> UInt64 {
        count -= 1
        return locations[count]
    }

    deinit {
        for index in 0..<count { memory.free(locations[index]) }
    }
}
