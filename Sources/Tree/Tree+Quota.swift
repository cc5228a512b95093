import Accounting
public import Basics
import Storage

/// What a directory's quota, or a user's limit, is to be.
public struct QuotaRequest: Hashable, Sendable {
    public enum Limit: Hashable, Sendable {
        case asItIs
        case none
        case to(Int)
    }

    /// In bytes, above 0.
    public var bytes = Limit.asItIs
    public var nodes = Limit.asItIs
    /// Set the bytes aside from what is above, so that the directory is sure of them. For a new quota of a
    /// directory.
    public var setsAside = false
    /// Also below what is in use: nothing grows then until use has fallen.
    public var drains = false

    public init() {}

    /// Whether it is enough to begin with.
    var isLimit: Bool {
        if case .to = nodes { return true }
        if case .to = bytes { return true }
        return false
    }
}

/// A directory's quota, or a user's limit, and what is in use of it.
public struct QuotaState: Hashable, Sendable {
    /// In bytes; nil where there is no limit of them.
    public var maxBytes: Int?
    public var maxNodes: Int?
    public var usedBytes: Int
    public var usedNodes: Int
    /// Whether the bytes were set aside from what is above.
    public var isSetAside: Bool

    init(_ level: QuotaLevel) {
        maxBytes = level.maxBytes
        maxNodes = level.maxNodes
        usedBytes = level.usedBytes
        usedNodes = level.usedNodes
        isSetAside = level.isSetAside
    }
}

/// Why a quota was not changed. Nothing has changed then.
public enum QuotaRefusal: Error, Hashable, Sendable {
    /// The kernel writes by itself in this engine, and asks nobody.
    case engine
    /// The kernel stores by itself, through mappings, in what would be set aside for others.
    case setAsideEngine
    /// Another change is under way.
    case busy
    /// The directory is the root: the mount's own limit bounds it.
    case isRoot
    case notDirectory
    /// The directory has no quota, the user no limit.
    case none
    /// The directory is not there, or went meanwhile.
    case gone
    /// Neither limit is named.
    case nothingAsked
    case bytesBelowUse(usedBytes: Int)
    case nodesBelowUse(usedNodes: Int)
    /// What is to be set aside does not fit into what is above.
    case noRoom(freeBytes: Int)
    /// To set aside there must be a limit of bytes, and it cannot be below what is in use.
    case setAsideNeedsLimit
    /// A quota's bytes are set aside when it is made.
    case notSetAside
    /// More levels than there may be within one another.
    case tooDeep(limit: Int)
    /// A file inside has another name outside.
    case linkOutside(directory: NodeID, name: [UInt8])
}

/// Quotas of directories. Changes are made one at a time, and may be called from any thread.
extension Tree {
    /// The quota of a directory itself; nil where it has none.
    public func quota(of directory: NodeID) -> QuotaState? {
        namespace.withLock { allocation in allocation.quotas.levels[directory].map { QuotaState($0) } }
    }

    /// Gives a directory a quota, or changes the one that it has.
    ///
    /// What is in the directory is counted while the tree is in use, and no other operation waits for more
    /// than a step of that. Only then is the limit compared with it.
    public func setQuota(of directory: NodeID, to request: QuotaRequest) throws(QuotaRefusal) -> QuotaState {
        guard configuration.hasQuotas else { throw .engine }
        guard ledger.wall == nil || !request.setsAside else { throw .setAsideEngine }
        let change = try namespace.withLock { (allocation) throws(QuotaRefusal) -> QuotaChange? in
            guard !allocation.quotas.isChanging else { throw .busy }
            if let level = allocation.quotas.levels[directory] {
                try Tree.apply(request, to: level)
                return nil
            }
            return try begin(request, on: directory, &allocation)
        }
        guard let change else { return try state(of: directory) }
        do throws(QuotaRefusal) {
            try insert(change, request)
        } catch {
            remove(change.level, of: directory, undoing: change)
            throw error
        }
        return try state(of: directory)
    }

    private func state(of directory: NodeID) throws(QuotaRefusal) -> QuotaState {
        guard let state = quota(of: directory) else { throw .gone }
        return state
    }

    /// Takes a directory's quota away: what it has in use counts for what is above alone.
    public func removeQuota(of directory: NodeID) throws(QuotaRefusal) {
        let level = try namespace.withLock { (allocation) throws(QuotaRefusal) in
            guard !allocation.quotas.isChanging else { throw .busy }
            guard let level = allocation.quotas.levels[directory] else { throw .none }
            try beginRemoval(of: level, directory, undoing: nil, &allocation)
            return level
        }
        finishRemoval(of: level)
    }

    // MARK: - Limits

    /// Sets both limits or none.
    static func apply(_ request: QuotaRequest, to level: QuotaLevel) throws(QuotaRefusal) {
        if request.setsAside, !level.isSetAside { throw .notSetAside }
        let maxNodes = level.maxNodes
        switch request.nodes {
        case .asItIs: break
        case .none: _ = level.setMaxNodes(nil, draining: true)
        case .to(let nodes):
            guard level.setMaxNodes(nodes, draining: request.drains) else {
                throw .nodesBelowUse(usedNodes: level.usedNodes)
            }
        }
        do throws(QuotaRefusal) {
            try applyBytes(request, to: level)
        } catch {
            _ = level.setMaxNodes(maxNodes, draining: true)
            throw error
        }
    }

    private static func applyBytes(_ request: QuotaRequest, to level: QuotaLevel) throws(QuotaRefusal) {
        var bytes: Int?
        switch request.bytes {
        case .asItIs: return
        case .none: break
        case .to(let limit): bytes = limit
        }
        guard level.isSetAside else {
            guard level.setMaxBytes(bytes, draining: request.drains) else {
                throw .bytesBelowUse(usedBytes: level.usedBytes)
            }
            return
        }
        guard let bytes, !request.drains else { throw .setAsideNeedsLimit }
        let isSet: Bool
        do throws(Errno) {
            isSet = try level.setAside(bytes)
        } catch {
            level.holding?.ledger.withdrawRefusal()
            throw .noRoom(freeBytes: level.holding?.ledger.freeBytes ?? 0)
        }
        guard isSet else { throw .bytesBelowUse(usedBytes: level.usedBytes) }
    }

    // MARK: - Setting

    /// Puts a level over a directory, without a limit as yet but for what is set aside, and lets the
    /// directory wait to be read.
    private func begin(
        _ request: QuotaRequest, on directory: NodeID, _ allocation: inout InodeTable.Allocation
    ) throws(QuotaRefusal) -> QuotaChange {
        guard directory != .root else { throw .isRoot }
        guard request.isLimit else { throw .nothingAsked }
        let outside = try outerLedger(of: directory)
        guard outside.depth < Tree.depthLimit else { throw .tooDeep(limit: Tree.depthLimit) }
        var bytesAside: Int?
        if request.setsAside {
            guard case .to(let bytes) = request.bytes, !request.drains else { throw .setAsideNeedsLimit }
            bytesAside = bytes
        }
        let level = QuotaLevel(
            bytes: bytesAside, isSetAside: request.setsAside, waking: configuration.wake)
        do throws(Errno) {
            try level.hold(from: outside)
        } catch {
            withdrawRefusal()
            throw .noRoom(freeBytes: outside.freeBytes)
        }
        let change = QuotaChange(.insertion, of: level, on: directory, below: outside)
        do throws(Errno) {
            try table.withState(directory) { (state) throws(Errno) in
                let inside = users.ledger(for: state.owner, below: change.inside)
                try state.charge.move(nodes: 1, to: inside, leaving: nil)
            }
            try append(directory, to: change, allocation)
        } catch {
            throw refusal(for: error, of: level)
        }
        allocation.quotas.levels[directory] = level
        allocation.quotas.change = change
        return change
    }

    private func outerLedger(of directory: NodeID) throws(QuotaRefusal) -> QuotaLedger {
        let ledger: QuotaLedger?
        do throws(Errno) {
            ledger = try table.withState(directory) { (state) throws(Errno) -> QuotaLedger? in
                guard state.links > 0 else { throw .staleNFSFileHandle }
                return state.kind == .directory ? state.charge.ledger.base : nil
            }
        } catch {
            throw .gone
        }
        guard let ledger else { throw .notDirectory }
        return ledger
    }

    /// What a refusal in the course of a change means. Nobody but its caller is to see it.
    func refusal(for error: Errno, of level: QuotaLevel) -> QuotaRefusal {
        switch error {
        case .noSpace, .diskQuotaExceeded:
            withdrawRefusal()
            return .bytesBelowUse(usedBytes: level.usedBytes)
        case .tooManyLinks: return .tooDeep(limit: Tree.depthLimit)
        default: return .gone
        }
    }

    /// Counts what is in the directory, and then sets the limits.
    private func insert(_ change: QuotaChange, _ request: QuotaRequest) throws(QuotaRefusal) {
        do throws(Errno) {
            try runSteps { (allocation) throws(Errno) in
                // A directory that is removed meanwhile has lost its quota.
                guard allocation.quotas.levels[change.directory] === change.level else {
                    throw .staleNFSFileHandle
                }
                return try insertionStep(change, &allocation)
            }
            if change.sawLinks {
                try runSteps { (allocation) throws(Errno) in
                    StepEnd(goesOn: try verificationStep(change, allocation))
                }
            }
        } catch {
            throw refusal(for: error, of: change.level)
        }
        try namespace.withLock { (allocation) throws(QuotaRefusal) in
            if let stray = change.stray { throw .linkOutside(directory: stray.parent, name: stray.name) }
            guard allocation.quotas.levels[change.directory] === change.level else { throw .gone }
            var request = request
            if change.level.isSetAside { request.bytes = .asItIs }
            try Tree.apply(request, to: change.level)
            allocation.quotas.change = nil
            change.level.wake?()
        }
    }

    // MARK: - Removing

    /// From here on nothing new is charged to the level.
    private func beginRemoval(
        of level: QuotaLevel, _ directory: NodeID, undoing insertion: QuotaChange?,
        _ allocation: inout InodeTable.Allocation
    ) throws(QuotaRefusal) {
        let outside: QuotaLedger? =
            if let insertion { insertion.outside } else { try outerLedger(of: directory).parent }
        guard let outside else { throw .none }
        if allocation.quotas.levels[directory] === level { allocation.quotas.levels[directory] = nil }
        allocation.quotas.change = QuotaChange(
            .removal, of: level, on: directory, below: outside, undoing: insertion)
    }

    private func finishRemoval(of level: QuotaLevel) {
        do throws(Errno) {
            try runSteps { (allocation) throws(Errno) in
                guard let change = allocation.quotas.change else { return StepEnd(goesOn: false) }
                return try removalStep(change, &allocation)
            }
        } catch {
            preconditionFailure("a quota could not be taken away: \(error)")
        }
        namespace.withLock { allocation in allocation.quotas.change = nil }
        level.dissolve()
    }

    private func remove(_ level: QuotaLevel, of directory: NodeID, undoing insertion: QuotaChange) {
        do throws(QuotaRefusal) {
            try namespace.withLock { (allocation) throws(QuotaRefusal) in
                try beginRemoval(of: level, directory, undoing: insertion, &allocation)
            }
        } catch {
            preconditionFailure("an insertion knows the ledger above")
        }
        finishRemoval(of: level)
    }

    /// A directory was removed, and its quota with it. The caller holds the namespace's lock.
    func dropQuota(of directory: NodeID, _ allocation: inout InodeTable.Allocation) {
        if allocation.quotas.levels.isEmpty { return }
        allocation.quotas.levels.removeValue(forKey: directory)?.dissolve()
    }
}
