import Accounting
public import Basics
import Storage

/// What statfs(2) reports.
extension Tree {
    /// Begins anew to keep the recent peaks of use.
    public func resetPeaks() { ledger.resetPeaks() }

    /// What is free is what can be written now, at every level, and so no more than the guard admits.
    ///
    /// In a directory with a quota the figures are those of the innermost level that has a limit of bytes:
    /// its limit, its use. Nodes are those of the innermost quota. What can be written, and how many nodes
    /// can be made, is the least that all levels leave. Limits of users change nothing here, as on tmpfs.
    public func statistics(of node: NodeID) throws(Errno) -> FilesystemStatistics {
        let ledger = try table.withState(node) { (state) throws(Errno) in state.charge.ledger.base }
        let mount = self.ledger.level
        ledger.wall?.widen()
        let usage = usage
        let unusedByMount = max(0, usage.limitBytes - usage.usedBytes)
        var bounding = ledger
        while bounding.level.maxBytes == nil, let parent = bounding.parent { bounding = parent }
        let limit = bounding.limitBytes
        let unused = bounding.level === mount ? unusedByMount : max(0, limit - bounding.usedBytes)
        // What is held for nobody counts as used by the mount.
        let left = ledger.paysAt(mount) ? min(ledger.freeBytes, unusedByMount) : ledger.freeBytes
        let behindWall = ledger.wall.map { max(0, $0.capacityBytes - $0.usedBytes) } ?? .max
        let free = min(left, unused, ledger.admittedBytes, behindWall)
        // Without a node limit the bytes bound the nodes: an empty file with a short name.
        let nodes = ledger.level.usedNodes
        let freeNodes = ledger.freeNodes == .max ? left / (InodeTable.slotCost + 64) : ledger.freeNodes
        return FilesystemStatistics(
            blockBytes: 4096, blocks: UInt64(limit / 4096), freeBlocks: UInt64(unused / 4096),
            availableBlocks: UInt64(FileContents.largestBytes(in: free, in: memory) / 4096),
            nodes: UInt64(nodes + freeNodes), freeNodes: UInt64(freeNodes))
    }
}
