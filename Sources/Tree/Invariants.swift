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
    /// - `used <= limit`, and data and metadata make it up.
    /// - Link counts are what the directories hold; each name stands for a node that is there.
    /// - The node budget counts the nodes; what has no name and no lookup is gone.
    public func checkInvariants() {
        do throws(Errno) {
            try namespace.withLock { (allocation) throws(Errno) in try check(allocation) }
        } catch {
            preconditionFailure("a node that is there could not be found: \(error)")
        }
    }

    private func check(_ allocation: borrowing InodeTable.Allocation) throws(Errno) {
        var used = 0
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
                used += cost
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
        precondition(used == ledger.usedBytes, "the ledger has \(ledger.usedBytes) in use, the nodes \(used)")
        precondition(
            data == ledger.dataBytes, "the ledger has \(ledger.dataBytes) of data, the nodes \(data)")
        precondition(
            ledger.usedBytes <= ledger.limitBytes && ledger.reservedBytes == 0, "the limit does not hold")
        precondition(
            nodes.count == budget.usedNodes, "the budget counts \(budget.usedNodes) nodes of \(nodes.count)")
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
