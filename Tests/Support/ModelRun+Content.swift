import Basics
import Fuse

/// The operations on bytes, attributes and xattrs.
extension ModelRun {
    func stepContent() throws {
        switch random.below(40) {
        case 0..<4: try read()
        case 4..<16: try write()
        case 16..<20: try truncate()
        case 20..<25: try allocate()
        case 25..<28: try seek()
        case 28..<31: try copyRange()
        case 31..<33: try changeMode()
        default: try xattr()
        }
    }

    private func file() -> (node: ReferenceTree.Node, id: NodeID)? {
        pick { $0.kind == .regular }
    }

    /// Places near the ends of pages and of what is there, more often than elsewhere.
    private func place(in node: ReferenceTree.Node) -> Int {
        switch random.below(5) {
        case 0: node.data.count
        case 1: max(0, random.below(16) * 4096 + random.below(3) - 1)
        case 2: random.below(node.data.count + 1)
        case 3: 0
        default: random.below(60_000)
        }
    }

    private func read() throws {
        guard let (node, id) = file() else { return }
        let offset = place(in: node)
        let count = 1 + random.below(20_000)
        note("read \(node.id) at \(offset), \(count)")
        let bytes = try subject.contents(id, at: offset, count: count)
        let inside = (offset..<(offset + count)).clamped(to: 0..<node.data.count)
        let wanted = offset >= node.data.count ? [] : Array(node.data[inside])
        if bytes != wanted { throw differ("read \(bytes.count) bytes, wanted \(wanted.count), or others") }
    }

    private func write() throws {
        guard let (node, id) = file() else { return }
        let offset = place(in: node)
        var bytes = random.bytes(1 + random.below(random.chance(20) ? 20_000 : 500))
        if random.chance(5) { bytes = [UInt8](repeating: 0, count: bytes.count) }
        let drops = random.chance(20)
        note("write \(node.id) at \(offset), \(bytes.count)")
        let given = isCanary && bytes.count > 1 ? [bytes[0] &+ 1] + bytes.dropFirst() : bytes
        let taken = try expect([], .possible, touching: [node]) { () throws(Errno) in
            try subject.operations.write(
                RawSpan(_elements: given.span), to: id, at: Int64(offset), droppingPrivileges: drops)
        }
        guard let taken else { return }
        if taken != bytes.count { throw differ("a write took \(taken) of \(bytes.count)") }
        reference.write(bytes, to: node, at: offset, droppingPrivileges: drops)
        try compare(node)
    }

    private func truncate() throws {
        guard let (node, id) = file() else { return }
        let size = place(in: node)
        note("truncate \(node.id) to \(size)")
        var changes = AttributeChanges()
        changes.size = Int64(size)
        let grows = size > node.data.count
        let found = try expect([], grows ? .possible : .none, touching: [node]) { () throws(Errno) in
            try subject.operations.setAttributes(changes, of: id)
        }
        guard let found else { return }
        reference.resize(node, to: size)
        if found.size != Int64(size) { throw differ("setattr answered the size \(found.size)") }
        try compare(node)
    }

    private func allocate() throws {
        guard let (node, id) = file() else { return }
        let offset = place(in: node)
        let count = 1 + random.below(20_000)
        let choices: [AllocationMode] = [
            [], .keepSize, [.punchHole, .keepSize], [.punchHole, .keepSize], .zeroRange,
            [.zeroRange, .keepSize],
        ]
        let mode = random.pick(choices)
        note("allocate \(node.id) at \(offset), \(count), mode \(mode.rawValue)")
        let done: Void? = try expect([], .possible, touching: [node]) { () throws(Errno) in
            try subject.operations.allocate(id, mode: mode, offset: Int64(offset), count: Int64(count))
        }
        if done == nil { return }
        if !mode.contains(.keepSize) { reference.extend(node, to: offset + count) }
        if !mode.isDisjoint(with: [.punchHole, .zeroRange]) {
            reference.zero(node, offset..<(offset + count))
        }
        try compare(node)
    }

    private func seek() throws {
        guard let (node, id) = file() else { return }
        let offset = place(in: node)
        let kind: SparseSeek = random.chance(50) ? .data : .hole
        note("seek \(node.id) from \(offset) to \(kind)")
        let found: Int
        do throws(Errno) {
            found = Int(try subject.operations.seek(id, from: Int64(offset), to: kind))
        } catch {
            let onlyZeros =
                offset >= node.data.count || (kind == .data && node.data[offset...].allSatisfy { $0 == 0 })
            if error == .noSuchAddressOrDevice && onlyZeros { return }
            throw differ("seek failed with \(error)")
        }
        if found < offset || offset >= node.data.count || found > node.data.count {
            throw differ("seek found \(found) in \(node.data.count) bytes")
        }
        if kind == .data && node.data[offset..<found].contains(where: { $0 != 0 }) {
            throw differ("seek to data passed data")
        }
        if kind == .data && found == node.data.count { throw differ("seek found data at the end") }
        if kind == .hole && found < node.data.count && node.data[found] != 0 {
            throw differ("seek found a hole where data is")
        }
    }

    private func copyRange() throws {
        guard let (source, sourceID) = file(), let (target, targetID) = file() else { return }
        let from = place(in: source)
        let to = place(in: target)
        let count = 1 + random.below(10_000)
        note("copy \(source.id) at \(from) to \(target.id) at \(to), \(count)")
        let inside = max(0, min(count, source.data.count - from))
        // The kernel cuts a copy at the end of the source before it asks whether the ranges overlap.
        if source === target && abs(from - to) < count && abs(from - to) >= inside { return }
        let overlaps = source === target && inside > 0 && abs(from - to) < inside
        let copied = try expect(overlaps ? [.invalidArgument] : [], .possible, touching: [source, target]) {
            () throws(Errno) in
            try subject.operations.copyRange(
                from: sourceID, at: Int64(from), to: targetID, at: Int64(to), count: count)
        }
        guard let copied else { return }
        if copied > inside || (copied == 0) != (inside == 0) {
            throw differ("\(copied) of \(inside) bytes copied")
        }
        if copied > 0 {
            let bytes = Array(source.data[from..<(from + copied)])
            reference.write(bytes, to: target, at: to, droppingPrivileges: false)
        }
        try compare(target)
    }

    private func changeMode() throws {
        guard let (node, id) = pick({ $0.kind != .symlink && $0 !== reference.root }) else { return }
        var changes = AttributeChanges()
        changes.mode = UInt32(random.below(0o10000))
        note("chmod \(node.id)")
        let found = try expect([], .none, touching: [node]) { () throws(Errno) in
            try subject.operations.setAttributes(changes, of: id)
        }
        guard found != nil, let mode = changes.mode else { return }
        node.mode = mode
        try compare(node)
    }

    private func xattr() throws {
        guard let (node, id) = pick({ $0.kind == .regular || $0.isDirectory }) else { return }
        let name = Array("user.\(random.below(5))".utf8)
        let bytes = RawSpan(_elements: name.span)
        let present = node.xattrs[name]
        let value = random.bytes(random.below(random.chance(10) ? 5000 : 60))
        switch random.below(3) {
        case 0:
            let choices: [AttributeSetting] = [[], [], .create, .replace]
            let setting = random.pick(choices)
            note("setxattr \(node.id), \(value.count) bytes, \(setting.rawValue)")
            var problems: [Errno] = []
            if setting == .create && present != nil { problems = [.fileExists] }
            if setting == .replace && present == nil { problems = [.noData] }
            let done: Void? = try expect(problems, .possible, touching: [node]) { () throws(Errno) in
                try subject.operations.setExtendedAttribute(
                    bytes, of: id, to: RawSpan(_elements: value.span), setting, by: caller)
            }
            if done != nil { node.xattrs[name] = value }
        case 1:
            note("removexattr \(node.id)")
            let done: Void? = try expect(present == nil ? [.noData] : [], .none, touching: [node]) {
                () throws(Errno) in
                try subject.operations.removeExtendedAttribute(bytes, of: id, by: caller)
            }
            if done != nil { node.xattrs[name] = nil }
        default:
            note("getxattr \(node.id)")
            let found = try expect(present == nil ? [.noData] : [], .none, touching: [node]) {
                () throws(Errno) in
                try subject.xattr(name, of: id, by: caller)
            }
            if let found, found != present { throw differ("an xattr's value") }
        }
    }
}
