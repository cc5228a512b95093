import Accounting
import Basics
import Storage
import Synchronization

extension Tree {
    /// Walks everything and stops the program where the tree contradicts itself. For tests, with no request
    /// in flight.
    ///
    /// - Each inode's charge is what its slot, contents, names and xattrs cost; their sum is what the ledger
    ///   has in use.
    /// - `used <= limit`, and data and metadata make it up. The same holds for each quota, with what inner
    ///   quotas hold.
    /// - A node is charged as its directory is; one with a quota to a ledger of its own below that. Whose
    ///   owner has a limit is charged to that too, through the one ledger for both.
    /// - Link counts are what the directories hold; each name stands for a node that is there.
    /// - The levels count the nodes; what has no name and no lookup is gone.
    public func checkInvariants() {
        do throws(Errno) {
            try namespace.withLock { (allocation) throws(Errno) in try check(allocation) }
        } catch {
            preconditionFailure("a node that is there could not be found: \(error)")
        }
    }

    private func check(_ allocation: borrowing InodeTable.Allocation) throws(Errno) {
        var levels = LevelSums()
        var data = 0
        var orphans = 0
        var links: [NodeID: UInt32] = [:]
        let nodes = table.allNodes(allocation)
        for node in nodes {
            try table.withState(node) { (state) throws(Errno) in
                state.observe(in: memory)
                let cost = try state.auditedCost(in: memory)
                precondition(
                    cost == state.charge.bytes, "a node is charged \(state.charge.bytes), but costs \(cost)")
                let own = state.charge.ledger
                levels.add(cost, nodes: 1, to: own)
                precondition(
                    users.ledger(for: state.owner, below: own.base) === own,
                    "a node is not charged as its owner's are")
                data += state.dataBytes(in: memory)
                if state.links == 0 { orphans += cost }
            }
            try countLinks(from: node, &links, allocation)
        }
        for node in nodes {
            try table.withState(node) { (state) throws(Errno) in
                let found = links[node, default: 0] + (node == .root ? 1 : 0)
                precondition(
                    state.links == found || state.kind == .directory && state.links == 0,
                    "a link count is wrong")
            }
            let lookups = try table.dropLookups(node, 0, allocation)
            let isNamed = try table.withState(node) { (state) throws(Errno) in state.links > 0 }
            precondition(isNamed || lookups > 0, "a node without name and lookup was kept")
        }
        for level in allocation.quotas.levels.values {
            precondition(level.holding != nil, "a quota does not pay for itself")
        }
        for level in users.levels.values {
            precondition(level.holding?.ledger === ledger, "a user's limit does not pay for itself")
            levels.add(0, nodes: 0, to: QuotaLedger(level, below: ledger))
        }
        levels.check()
        precondition(
            data == ledger.dataBytes, "the ledger has \(ledger.dataBytes) of data, the nodes \(data)")
        precondition(
            ledger.usedBytes <= ledger.limitBytes && ledger.reservedBytes == 0, "the limit does not hold")
        precondition(
            orphans == orphanBytes.load(ordering: .relaxed), "the bytes without a name are miscounted")
    }

    /// Adds what a directory holds: a link to each node, one from itself, and one to itself from each
    /// directory in it.
    private func countLinks(
        from node: NodeID, _ links: inout [NodeID: UInt32], _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        guard try table.withNamesHeld(node, allocation, { (state) throws(Errno) in state.kind == .directory })
        else { return }
        let isLinked = try table.withState(node) { (state) throws(Errno) in state.links > 0 }
        guard isLinked else { return }
        links[node, default: 0] += 1
        var found: [NameMap.Found] = []
        try table.withNamesHeld(node, allocation) { (state) throws(Errno) in
            try state.readNames { names in
                names.forEach(after: 0, in: memory) { _, entry in
                    found.append(entry)
                    return true
                }
            }
        }
        for entry in found {
            links[entry.node, default: 0] += 1
            if entry.kind == .directory { links[node, default: 0] += 1 }
            let kind = try table.withState(entry.node) { (state) throws(Errno) in state.kind }
            precondition(kind == entry.kind, "a name says another kind than its node")
            try checkLedger(of: entry.node, in: node, allocation)
        }
    }

    private func checkLedger(
        of node: NodeID, in directory: NodeID, _ allocation: borrowing InodeTable.Allocation
    ) throws(Errno) {
        precondition(!allocation.quotas.isChanging, "a change of quotas is under way")
        let outer = try ledger(of: directory, allocation)
        let own = try table.withState(node) { (state) throws(Errno) in state.charge.ledger.base }
        guard let level = allocation.quotas.levels[node] else {
            return precondition(own === outer, "a node is not charged as its directory is")
        }
        precondition(own.level === level && own.parent === outer, "a quota is not below its directory's")
        precondition(level.holding?.ledger === outer, "a quota is not paid for by what is above")
    }
}

/// What the charges come to at each level.
private struct LevelSums {
    private var sums: [ObjectIdentifier: (level: QuotaLevel, bytes: Int, nodes: Int)] = [:]

    mutating func add(_ bytes: Int, nodes: Int, to ledger: QuotaLedger) {
        var bytes = bytes
        var next: QuotaLedger? = ledger
        while let ledger = next {
            let level = ledger.level
            sums[ObjectIdentifier(level), default: (level, 0, 0)].bytes += bytes
            sums[ObjectIdentifier(level), default: (level, 0, 0)].nodes += nodes
            if level.isSetAside { bytes = 0 }
            next = ledger.parent
        }
    }

    mutating func check() {
        // What a level holds may be all that is charged to another, which has holdings of its own.
        var added: Set<ObjectIdentifier> = []
        while let (key, found) = sums.first(where: { !added.contains($0.key) }) {
            added.insert(key)
            if let holding = found.level.holding { add(holding.bytes, nodes: 0, to: holding.ledger) }
        }
        for (level, bytes, nodes) in sums.values {
            precondition(
                bytes == level.usedBytes,
                "a level has \(level.usedBytes) in use, the charges come to \(bytes)")
            precondition(
                nodes == level.usedNodes,
                "a level counts \(level.usedNodes) nodes, of which \(nodes) are there")
        }
    }
}

extension Inode.State {
    fileprivate func auditedCost(in memory: Memory) throws(Errno) -> Int {
        var cost = InodeTable.slotCost + extendedAttributes.auditedCost(in: memory)
        switch body {
        case .file(let contents): cost += try contents.auditedCost(in: memory)
        case .directory(let directory): cost += directory.names.auditedCost(in: memory)
        case .symlink(let target): cost += target.auditedCost(in: memory)
        case .device: break
        case .plain: break
        }
        return cost
    }

    fileprivate func dataBytes(in memory: Memory) -> Int {
        switch body {
        case .file(let contents): contents.dataBytes(in: memory)
        default: 0
        }
    }
}
