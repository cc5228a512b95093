/// Counts again, by walking what is there, what the structures say of themselves: for tests and debug builds.
extension PagedContents {
    /// What the contents cost, in bytes. Stops the program where the index does not hold what the counts say.
    public func auditedCost(in memory: Memory) -> Int {
        var index = 0
        var pages = 0
        while let page = firstPage(from: index, memory) {
            if fragment == 0 || page != Int(fragmentPage) { pages += 1 }
            precondition(
                fragment == 0 || page != Int(fragmentPage) || entry(of: page, memory) == 0,
                "a page is a fragment and a page at once")
            index = page + 1
        }
        precondition(pages == Int(pageCount), "a file counts pages that it has not")
        return cost(in: memory).total
    }
}

extension NameMap {
    /// What the names cost, in bytes. Stops the program where the tree is out of order.
    public func auditedCost(in memory: Memory) -> Int {
        guard root != 0 else {
            precondition(count == 0 && height == 0, "an empty directory counts names")
            return 0
        }
        var names = 0
        var cookie: UInt64 = 0
        let cost = audit(root, level: Int(height), &names, &cookie, memory)
        precondition(names == Int(count), "a directory counts names that it has not")
        return cost
    }

    private func audit(
        _ location: UInt64, level: Int, _ names: inout Int, _ cookie: inout UInt64, _ memory: Memory
    ) -> Int {
        var cost = memory.cost(ofBlock: location)
        if level == 0 {
            let leaf = NameLeaf(location, memory)
            precondition(leaf.count > 0, "a directory keeps an empty leaf")
            for position in 0..<leaf.count {
                precondition(leaf.cookie(at: position) > cookie, "a directory's cookies are out of order")
                cookie = leaf.cookie(at: position)
                names += 1
            }
            return cost
        }
        let node = NameBranch(location, memory)
        precondition(node.count > 0, "a directory keeps an empty inner node")
        for position in 0..<node.count {
            precondition(
                position == 0 || node.key(at: position) > cookie, "a directory's keys are out of order")
            cost += audit(node.child(at: position), level: level - 1, &names, &cookie, memory)
        }
        return cost
    }
}

extension StoredBytes {
    /// What the bytes cost.
    public func auditedCost(in memory: Memory) -> Int { StoredBytes.cost(count) }
}

extension ExtendedAttributes {
    /// What the xattrs cost, in bytes.
    public func auditedCost(in memory: Memory) -> Int {
        var cost = 0
        forEachBlock(in: memory) { cost += memory.cost(ofBlock: $0) }
        return cost
    }
}
