public import Basics

/// The names of one directory: an ordered map from name to node, whose order serves lookups and listings
/// alike.
///
/// A B+ tree ordered by cookie. A name's cookie is made of its hash and a number that tells names of one hash
/// apart, so that it stays what it is while other names come and go: a listing that continues behind a cookie
/// misses nothing and repeats nothing. Leaves hold the names themselves; a directory of one leaf has a block
/// just as large as it needs, so that what a small directory costs depends on what is in it and not on what
/// has been. The hash is keyed anew in each process, so that nobody can choose names that fall on one
/// another. Not safe by itself: the namespace's lock guards it.
public struct NameMap: ~Copyable {
    /// The node at the top: a leaf with height 0. 0: no name.
    var root: UInt64 = 0
    public internal(set) var count: UInt32 = 0
    /// Levels of inner nodes above the leaves.
    var height: UInt8 = 0

    public init() {}

    deinit {
        assert(root == 0, "the names of a directory were dropped instead of freed")
    }

    /// The deepest path there can be: 255 to the power of 7 leaves are more than any memory.
    static let depthLimit = 8
    /// Hash bits in a cookie. Above them is a bit that keeps cookies off 0, 1 and 2; below, the number in the
    /// group.
    public static let hashBits = 54
    static let groupBits = 8

    /// What a directory knows of one of its names.
    public struct Found: Equatable, Sendable {
        public var node: NodeID
        public var kind: FileKind
        public var cookie: UInt64
    }

    /// The lowest cookie that `name` may have.
    static func group(of name: RawSpan, _ memory: Memory) -> UInt64 {
        var hasher = Hasher()
        unsafe name.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        let hash = UInt64(bitPattern: Int64(hasher.finalize())) & memory.nameHashMask
        return 1 << 62 | hash << UInt64(groupBits)
    }

    public func find(_ name: RawSpan, in memory: Memory) -> Found? {
        guard let cursor = cursor(of: name, memory) else { return nil }
        return cursor.leaf.found(at: cursor.position)
    }

    /// Lets `name` stand for another node. Needs no memory. The name must be there.
    public func replace(_ name: RawSpan, with node: NodeID, _ kind: FileKind, in memory: Memory) {
        guard let cursor = cursor(of: name, memory) else {
            preconditionFailure("a name was replaced that is not there")
        }
        cursor.leaf.setNode(node, kind, at: cursor.position)
    }

    /// Calls `body` for each name behind `cookie` in the order of cookies, until it returns false.
    public func forEach(after cookie: UInt64, in memory: Memory, _ body: (RawSpan, Found) -> Bool) {
        guard root != 0, var cursor = Optional(cursor(at: cookie + 1, memory)) else { return }
        while true {
            if cursor.position == cursor.leaf.count {
                guard advanceLeaf(&cursor, memory) else { return }
                continue
            }
            let leaf = cursor.leaf
            guard leaf.withName(at: cursor.position, { body($0, leaf.found(at: cursor.position)) }) else {
                return
            }
            cursor.position += 1
        }
    }

    // MARK: - Ways through the tree

    /// A step down: an inner node and the child that was taken.
    struct Step {
        var node: NameBranch
        var position: Int
    }

    /// A place in a leaf, and the way to it.
    struct Cursor {
        var steps: InlineArray<8, Step?> = InlineArray(repeating: nil)
        var leaf: NameLeaf
        var position = 0
    }

    /// The place of the first entry whose cookie is `cookie` or higher; it may be behind the last of its
    /// leaf.
    func cursor(at cookie: UInt64, _ memory: Memory) -> Cursor {
        var cursor = cursor(toLeafOf: cookie, memory)
        cursor.position = cursor.leaf.lowerBound(of: cookie)
        return cursor
    }

    /// The same at the start of the leaf.
    private func cursor(toLeafOf cookie: UInt64, _ memory: Memory) -> Cursor {
        var location = root
        var steps = InlineArray<8, Step?>(repeating: nil)
        for depth in 0..<Int(height) {
            let node = NameBranch(location, memory)
            let position = node.position(of: cookie)
            steps[depth] = Step(node: node, position: position)
            location = node.child(at: position)
        }
        return Cursor(steps: steps, leaf: NameLeaf(location, memory))
    }

    /// Moves to the start of the next leaf; false at the end.
    func advanceLeaf(_ cursor: inout Cursor, _ memory: Memory) -> Bool {
        var depth = Int(height)
        while depth > 0 {
            depth -= 1
            guard var step = cursor.steps[depth], step.position + 1 < step.node.count else { continue }
            step.position += 1
            cursor.steps[depth] = step
            var location = step.node.child(at: step.position)
            for below in (depth + 1)..<max(Int(height), depth + 1) {
                let node = NameBranch(location, memory)
                cursor.steps[below] = Step(node: node, position: 0)
                location = node.child(at: 0)
            }
            cursor.leaf = NameLeaf(location, memory)
            cursor.position = 0
            return true
        }
        return false
    }

    func cursor(of name: RawSpan, _ memory: Memory) -> Cursor? {
        guard root != 0 else { return nil }
        let group = NameMap.group(of: name, memory)
        var cursor = cursor(toLeafOf: group, memory)
        while true {
            if let position = cursor.leaf.position(of: name, group) {
                cursor.position = position
                return cursor
            }
            // A group may go on in the next leaf.
            guard let next = keyBehind(cursor),
                next >> UInt64(NameMap.groupBits) == group >> UInt64(NameMap.groupBits),
                advanceLeaf(&cursor, memory)
            else { return nil }
        }
    }

    /// The lowest cookie that the next leaf may have; nil where there is none.
    private func keyBehind(_ cursor: Cursor) -> UInt64? {
        var depth = Int(height)
        while depth > 0 {
            depth -= 1
            guard let step = cursor.steps[depth] else { return nil }
            if step.position + 1 < step.node.count { return step.node.key(at: step.position + 1) }
        }
        return nil
    }

    /// A cookie for a new name: the lowest of its group that is free.
    ///
    /// Throws `.noSpace` where 256 names have one hash, which chance does not bring about.
    func freeCookie(for name: RawSpan, _ memory: Memory) throws(Errno) -> UInt64 {
        let group = NameMap.group(of: name, memory)
        var cookie = group
        guard root != 0 else { return cookie }
        var cursor = cursor(at: group, memory)
        while true {
            if cursor.position == cursor.leaf.count {
                guard advanceLeaf(&cursor, memory) else { break }
                continue
            }
            guard cursor.leaf.cookie(at: cursor.position) == cookie else { break }
            cookie += 1
            guard cookie - group < 1 << UInt64(NameMap.groupBits) else { throw .noSpace }
            cursor.position += 1
        }
        return cookie
    }
}
