import Accounting
public import Basics
import Storage
import Telemetry

/// Finding nodes, and reading and changing what stat(2) reports of them.
extension Tree {
    /// Finds `name` in a directory and raises the lookup count of what it stands for.
    public func lookup(_ name: RawSpan, in parent: NodeID) throws(Errno) -> Entry {
        try namespace.withLock { (allocation) throws(Errno) in
            let found = try find(name, in: parent, allocation)
            return try entry(for: found.node, allocation)
        }
    }

    /// Finds a node by its ID, and raises its lookup count.
    public func revisit(_ node: NodeID) throws(Errno) -> Entry {
        try namespace.withLock { (allocation) throws(Errno) in try entry(for: node, allocation) }
    }

    /// Finds the directory that a directory is in, and raises its lookup count. The root is in itself.
    public func parent(of directory: NodeID) throws(Errno) -> Entry {
        try namespace.withLock { (allocation) throws(Errno) in
            let parent = try table.withNamesHeld(directory, allocation) { (state) throws(Errno) in
                state.parent
            }
            guard let parent else { throw .notDirectory }
            return try entry(for: parent, allocation)
        }
    }

    /// Throws `.noSuchFileOrDirectory`, `.notDirectory`.
    func find(
        _ name: RawSpan, in parent: NodeID, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) -> NameMap.Found {
        let found = try findIfThere(name, in: parent, allocation)
        guard let found else { throw .noSuchFileOrDirectory }
        return found
    }

    func findIfThere(
        _ name: RawSpan, in parent: NodeID, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) -> NameMap.Found? {
        try table.withNamesHeld(parent, allocation) { (state) throws(Errno) in
            try state.readNames { names in names.find(name, in: memory) }
        }
    }

    /// A reply's entry: raises the node's lookup count.
    func entry(for node: NodeID, _ allocation: borrowing InodeTable.Allocation) throws(Errno) -> Entry {
        let attributes = try attributes(of: node)
        try table.addLookup(node, allocation)
        return Entry(node: node, attributes: attributes)
    }

    /// Lowers a node's lookup count. A node without a name ends with the last lookup. Never fails.
    public func forget(_ node: NodeID, count: UInt64) {
        // A hostile client may forget the root, or what is not there: nothing happens.
        if node == .root { return }
        let ended: Inode? = namespace.withLock { allocation in
            do throws(Errno) {
                let left = try table.dropLookups(node, count, allocation)
                guard left == 0 else { return nil }
                return try takeIfEnded(node, &allocation)
            } catch {
                return nil
            }
        }
        end(ended)
    }

    /// Takes a node that has neither a name nor a lookup out of the table.
    func takeIfEnded(_ node: NodeID, _ allocation: inout InodeTable.Allocation) throws(Errno) -> Inode? {
        let links = try table.withState(node) { (state) throws(Errno) in state.links }
        guard links == 0, try table.dropLookups(node, 0, allocation) == 0 else { return nil }
        return table.remove(node, &allocation)
    }

    /// A node's `st_ino`. Throws `.staleNFSFileHandle`.
    public func number(of node: NodeID) throws(Errno) -> UInt64 { try table.number(of: node) }

    public func attributes(of node: NodeID) throws(Errno) -> Attributes {
        let number = try table.number(of: node)
        return try change(node) { (state) throws(Errno) in state.attributes(number: number, in: memory) }
    }

    /// Changes attributes, all or none: only another owner and the size can be refused, and come first.
    ///
    /// Throws as `write`, and `.diskQuotaExceeded` where the new owner's limit has no room for the node.
    public func setAttributes(_ changes: AttributeChanges, of node: NodeID) throws(Errno) -> Attributes {
        let now = configuration.clock.now()
        try change(node) { (state) throws(Errno) in
            state.observe(in: memory)
            try changeLimited(changes, of: &state, now)
            if let mode = changes.mode {
                state.mode = state.mode & ~0o7777 | mode & 0o7777
                if configuration.usesACL { state.bringACLInLine(in: memory) }
            }
            if changes.owner != nil || changes.group != nil {
                if let owner = changes.owner { state.owner = owner }
                if let group = changes.group { state.group = group }
                // chown(2) clears them whoever calls; with HANDLE_KILLPRIV_V2 the kernel leaves that to us.
                state.dropPrivileges(in: memory)
            }
            if changes.dropsPrivileges { state.dropPrivileges(in: memory) }
            if let time = changes.accessed { state.accessed = Timestamp32(time.moment(now)) }
            if let time = changes.modified { state.modified = Timestamp32(time.moment(now)) }
            if let time = changes.changed {
                state.changed = Timestamp32(time.moment(now))
            } else if changes.changesMoreThanSize {
                state.changed = Timestamp32(now)
            }
        }
        return try attributes(of: node)
    }

    /// The owner whose limit it counts in, and the size.
    private func changeLimited(
        _ changes: AttributeChanges, of state: inout Inode.State, _ now: Timestamp
    ) throws(Errno) {
        var wayBack = try changes.owner.flatMap { (owner) throws(Errno) in
            try recharge(&state, to: owner)
        }
        guard let size = changes.size else { return }
        do throws(Errno) {
            try resize(&state, to: size, now)
        } catch {
            if let wayBack = wayBack.take() { state.charge.goBack(by: wayBack) }
            throw error
        }
    }

    /// Both times change even where the size stays: O_TRUNC of an empty file must be seen, and the kernel
    /// does not say which of truncate(2), ftruncate(2) and open(2) asks.
    private func resize(_ state: inout Inode.State, to size: Int64, _ now: Timestamp) throws(Errno) {
        guard size >= 0 else { throw .invalidArgument }
        try storing { () throws(Errno) in
            try state.withContents(in: memory) { (contents, charge, oldSize) throws(Errno) in
                if Int(size) > oldSize {
                    try contents.extend(from: oldSize, to: Int(size), in: memory, charge: &charge)
                } else {
                    try contents.truncate(to: Int(size), in: memory, charge: &charge)
                }
            }
        }
        state.touch(now)
        state.size = size
    }

    /// Counts what the storage kind refuses.
    func storing<Result>(_ operation: () throws(Errno) -> Result) throws(Errno) -> Result {
        do {
            return try operation()
        } catch {
            if error == .notSupportedOnSocket { noteStorageRefusal() }
            throw error
        }
    }

    @inline(never)
    private func noteStorageRefusal() {
        let policy = configuration.storage
        refusals.add(RefusalNote(.storage, limit: policy.kind == .auto ? policy.promotionLimitBytes : nil))
    }
}

extension AttributeChanges.Time {
    fileprivate func moment(_ now: Timestamp) -> Timestamp {
        switch self {
        case .now: now
        case .at(let time): time
        }
    }
}

extension AttributeChanges {
    fileprivate var changesMoreThanSize: Bool {
        mode != nil || owner != nil || group != nil || accessed != nil || modified != nil || dropsPrivileges
    }
}
