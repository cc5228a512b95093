import Accounting
public import Basics
import Storage
import Synchronization

/// Names: making, linking and removing them.
extension Tree {
    /// What a new node is made with, beside its name.
    struct NewNode {
        /// Type and permission bits.
        var mode: UInt32
        var device: UInt32 = 0
        var caller: Caller
        /// It is opened at once, which must not be refused any more.
        var isOpened = false
    }

    /// Makes a file of any kind but directory and symlink.
    public func makeNode(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, device: UInt32, by caller: Caller
    ) throws(Errno) -> Entry {
        guard let kind = FileKind(mode: mode), kind != .directory, kind != .symlink else {
            throw .invalidArgument
        }
        let new = NewNode(mode: mode, device: device, caller: caller)
        return try [].withRawSpan { (target) throws(Errno) in try add(name, to: parent, new, target) }
    }

    public func makeDirectory(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, by caller: Caller
    ) throws(Errno) -> Entry {
        let new = NewNode(mode: FileKind.directory.rawValue | mode & 0o7777, caller: caller)
        return try [].withRawSpan { (target) throws(Errno) in try add(name, to: parent, new, target) }
    }

    public func makeSymlink(
        _ name: RawSpan, in parent: NodeID, to target: RawSpan, by caller: Caller
    ) throws(Errno) -> Entry {
        guard target.byteCount > 0 else { throw .noSuchFileOrDirectory }
        guard target.byteCount < 4096 else { throw .fileNameTooLong }
        let new = NewNode(mode: FileKind.symlink.rawValue | 0o777, caller: caller)
        return try add(name, to: parent, new, target)
    }

    /// Makes a regular file, or finds the one that is there unless `exclusive`.
    public func create(
        _ name: RawSpan, in parent: NodeID, mode: UInt32, exclusive: Bool, by caller: Caller
    ) throws(Errno) -> Entry {
        do throws(Errno) {
            let mode = FileKind.regular.rawValue | mode & 0o7777
            let new = NewNode(mode: mode, caller: caller, isOpened: true)
            return try [].withRawSpan { (target) throws(Errno) in try add(name, to: parent, new, target) }
        } catch {
            guard error == .fileExists, !exclusive else { throw error }
        }
        return try lookup(name, in: parent)
    }

    /// Makes a regular file without a name: it ends with its last lookup, unless `link` gives it one.
    public func makeTemporary(in parent: NodeID, mode: UInt32, by caller: Caller) throws(Errno) -> Entry {
        let mode = FileKind.regular.rawValue | mode & 0o7777
        return try namespace.withLock { (allocation) throws(Errno) in
            let place = try place(in: parent, allocation, orRemoved: true)
            let node = try [].withRawSpan { (target) throws(Errno) in
                try makeInode(
                    NewNode(mode: mode, caller: caller, isOpened: true), in: place, target, &allocation)
            }
            try table.withState(node) { (state) throws(Errno) in
                state.links = 0
                orphanBytes.wrappingAdd(state.charge.bytes, ordering: .relaxed)
            }
            return try entry(for: node, allocation)
        }
    }

    /// What a directory hands down to what is made in it.
    struct Place {
        var directory: NodeID
        /// Without the level of a user.
        var ledger: QuotaLedger
        /// The group that new nodes take: that of a setgid directory.
        var group: UInt32?
    }

    /// Throws `.notDirectory`, and `.noSuchFileOrDirectory` for a directory that has been removed, unless
    /// that does.
    func place(
        in parent: NodeID, _ allocation: borrowing InodeTable.Allocation, orRemoved: Bool = false
    ) throws(Errno) -> Place {
        var place = try table.withState(parent) { (state) throws(Errno) in
            guard state.kind == .directory else { throw .notDirectory }
            guard state.links > 0 || orRemoved else { throw .noSuchFileOrDirectory }
            let group = state.mode & 0o2000 != 0 ? state.group : nil
            return Place(directory: parent, ledger: state.charge.ledger.base, group: group)
        }
        place.ledger = allocation.quotas.current(place.ledger)
        return place
    }

    /// Makes a node and gives it its first name.
    private func add(
        _ name: RawSpan, to parent: NodeID, _ new: NewNode, _ target: RawSpan
    ) throws(Errno) -> Entry {
        var ended: Inode?
        defer { end(ended.take()) }
        return try namespace.withLock { (allocation) throws(Errno) in
            let place = try place(in: parent, allocation)
            guard try findIfThere(name, in: parent, allocation) == nil else { throw .fileExists }
            let node = try makeInode(new, in: place, target, &allocation)
            let kind = FileKind(mode: new.mode) ?? .regular
            do throws(Errno) {
                try addName(name, to: parent, node, kind)
            } catch {
                ended = table.remove(node, &allocation)
                throw error
            }
            if kind == .directory { try addLinks(1, to: parent) }
            return try entry(for: node, allocation)
        }
    }

    /// Makes an inode with the links of its first name, paid for from the ledger of the place, and of whoever
    /// makes it.
    func makeInode(
        _ new: NewNode, in place: Place, _ target: RawSpan, _ allocation: inout InodeTable.Allocation
    ) throws(Errno) -> NodeID {
        let ledger = users.ledger(for: new.caller.user, below: place.ledger)
        let nodes = try ledger.reserveNode()
        let inheritance = try inheritance(of: new, in: place.directory)
        let kind = FileKind(mode: new.mode) ?? .regular
        let contents = FileContents(in: memory, opened: kind == .regular && new.isOpened)
        let targetCost = kind == .symlink ? StoredBytes.cost(target.byteCount) : 0
        let cost = InodeTable.slotCost + targetCost + contents.emptyCost(in: memory)
        let reservation = try ledger.reserve(cost)
        var charge = Charge(to: ledger)
        var body = Inode.Body.plain
        switch kind {
        case .regular: body = .file(contents)
        case .directory: body = .directory(Inode.Directory(parent: place.directory))
        case .symlink: body = .symlink(try StoredBytes(target, in: memory))
        case .blockDevice, .characterDevice: body = .device(new.device)
        case .pipe, .socket: break
        }
        reservation.commit(into: &charge, data: 0, metadata: cost)
        let now = Timestamp32(configuration.clock.now())
        let inheritsSetgid: UInt32 = kind == .directory && place.group != nil ? 0o2000 : 0
        var state = Inode.State(
            links: kind == .directory ? 2 : 1, size: Int64(target.byteCount), body: body,
            mode: inheritance.mode | inheritsSetgid, owner: new.caller.user,
            group: place.group ?? new.caller.group,
            accessed: now, modified: now, changed: now, charge: charge)
        do throws(Errno) {
            if let list = inheritance.access { try state.store(list, as: .access, in: memory) }
            if let list = inheritance.inherited { try state.store(list, as: .inherited, in: memory) }
        } catch {
            state.free(in: memory)
            throw error
        }
        let node = try table.add(state, memory, &allocation)
        nodes.commit()
        return node
    }

    /// Adds a name to a directory, whose times change. The caller holds the namespace's lock.
    func addName(_ name: RawSpan, to parent: NodeID, _ node: NodeID, _ kind: FileKind) throws(Errno) {
        let now = configuration.clock.now()
        try change(parent) { (state) throws(Errno) in
            try state.withNames { (names, charge) throws(Errno) in
                try names.insert(name, node, kind, in: memory, charge: &charge)
            }
            state.touch(now)
        }
    }

    /// Removes a name that is there. The caller holds the namespace's lock.
    func removeName(_ name: RawSpan, from parent: NodeID) throws(Errno) {
        let now = configuration.clock.now()
        try change(parent) { (state) throws(Errno) in
            _ = try state.withNames { (names, charge) throws(Errno) in
                names.remove(name, in: memory, charge: &charge)
            }
            state.touch(now)
        }
    }

    /// Lets a name that is there stand for another node. The caller holds the namespace's lock.
    func replaceName(_ name: RawSpan, in parent: NodeID, by node: NodeID, _ kind: FileKind) throws(Errno) {
        let now = configuration.clock.now()
        try change(parent) { (state) throws(Errno) in
            try state.withNames { (names, _) throws(Errno) in
                names.replace(name, with: node, kind, in: memory)
            }
            state.touch(now)
        }
    }

    /// Changes the link count of a directory, as directories in it come and go.
    func addLinks(_ amount: Int, to directory: NodeID) throws(Errno) {
        try table.withState(directory) { (state) throws(Errno) in
            state.links = UInt32(Int(state.links) + amount)
        }
    }

    /// Gives a node one more name. Throws `.notPermitted` for a directory, `.fileExists`.
    public func link(_ node: NodeID, as name: RawSpan, in parent: NodeID) throws(Errno) -> Entry {
        try namespace.withLock { (allocation) throws(Errno) in
            let place = try place(in: parent, allocation)
            let (kind, links) = try table.withState(node) { (state) throws(Errno) in (state.kind, state.links)
            }
            guard kind != .directory else { throw .notPermitted }
            guard links < UInt32.max else { throw .tooManyLinks }
            guard try findIfThere(name, in: parent, allocation) == nil else { throw .fileExists }
            if links > 0 { try checkMayLink(node, to: place.ledger, allocation) }
            // A file that had no name comes into this directory with it; another is charged here already.
            try recharging(node, to: links > 0 ? nil : place.ledger) { () throws(Errno) in
                try addName(name, to: parent, node, kind)
            }
            let now = configuration.clock.now()
            try table.withState(node) { (state) throws(Errno) in
                if state.links == 0 { orphanBytes.wrappingSubtract(state.charge.bytes, ordering: .relaxed) }
                state.links += 1
                state.changed = Timestamp32(now)
            }
            return try entry(for: node, allocation)
        }
    }

    /// Removes a name of anything but a directory. The node lives on while it has another, or a lookup.
    public func unlink(_ name: RawSpan, in parent: NodeID) throws(Errno) {
        let ended: Inode? = try namespace.withLock { (allocation) throws(Errno) in
            let found = try find(name, in: parent, allocation)
            guard found.kind != .directory else { throw .isDirectory }
            try removeName(name, from: parent)
            try dropLink(found.node)
            return try takeIfEnded(found.node, &allocation)
        }
        end(ended)
    }

    /// Removes an empty directory.
    public func removeDirectory(_ name: RawSpan, in parent: NodeID) throws(Errno) {
        let ended: Inode? = try namespace.withLock { (allocation) throws(Errno) in
            let found = try find(name, in: parent, allocation)
            guard found.kind == .directory else { throw .notDirectory }
            try checkEmpty(found.node, allocation)
            try removeName(name, from: parent)
            try addLinks(-1, to: parent)
            try dropLink(found.node)
            dropQuota(of: found.node, &allocation)
            return try takeIfEnded(found.node, &allocation)
        }
        end(ended)
    }

    /// Throws `.directoryNotEmpty` for a directory with names in it.
    func checkEmpty(_ directory: NodeID, _ allocation: borrowing InodeTable.Allocation) throws(Errno) {
        let count = try table.withNamesHeld(directory, allocation) { (state) throws(Errno) in
            try state.readNames { names in names.count }
        }
        guard count == 0 else { throw .directoryNotEmpty }
    }

    /// A node has lost a name; a directory has lost its only one.
    func dropLink(_ node: NodeID) throws(Errno) {
        let now = configuration.clock.now()
        try table.withState(node) { (state) throws(Errno) in
            // Before it counts among those without a name, with all that it has.
            state.observe(in: memory)
            state.links = state.kind == .directory ? 0 : state.links - 1
            state.changed = Timestamp32(now)
            if state.links == 0 { orphanBytes.wrappingAdd(state.charge.bytes, ordering: .relaxed) }
        }
    }
}
