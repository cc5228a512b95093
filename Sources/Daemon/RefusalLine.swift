import Basics
import Control
import Logging
import Serving
import Tree

/// One line of the log about what was refused for one cause: the limit and its use, the first who was
/// refused, and who holds most.
struct RefusalLine {
    let level: Logger.Level
    let event: DaemonEvent
    let message: String
    let figures: Logger.Metadata

    init(_ story: RefusalWatch.Story, on mountpoint: String, of tree: Tree) {
        let first = story.example
        let usage = tree.usage
        let isLoss = first.kind == .writeback
        let isFull = [.bytes, .nodes, .directory, .user].contains(first.kind)
        level = isLoss ? .error : .warning
        event = isFull ? .full : .refused
        let entry = first.entry(of: tree)
        let place = first.pathText.map { "\(mountpoint)/\($0)" } ?? "inode \(entry.inode)"
        let who = isLoss ? "" : " by \(entry.who)"
        let example = "\(story.isFirst ? "first" : "last") \(first.refusal.attempt.operation.rawValue)"
        let reason = isLoss ? "" : " (\(entry.reason(below: mountpoint)))"
        let held = isFull ? "; \(Self.holder(first, mountpoint, tree))" : ""
        message = Printable.text(
            """
            \(Self.cause(first, entry, mountpoint, usage)); refused \(story.count) \
            \(story.count == 1 ? "request" : "requests"), \(example) \
            of \(place)\(who): \(Wording.of(first.refusal.error))\(reason)\(held)
            """)
        figures = [
            "used": "\(usage.usedBytes)", "limit": "\(usage.limitBytes)", "refused": "\(story.count)",
            "pid": "\(entry.pid.value ?? 0)", "comm": "\(entry.command.value ?? "?")",
            "uid": "\(entry.user.value.map(String.init) ?? "?")", "errno": "\(first.refusal.error.rawValue)",
            "cause": "\(first.kind.name)", "path": "\(place)",
        ]
    }

    private static func cause(
        _ first: RefusalRecord, _ entry: RefusalEntry, _ mountpoint: String, _ usage: Usage
    ) -> String {
        switch first.kind {
        case .bytes, .nodes:
            let nodes = usage.maxNodes.map { ", \(usage.nodes) of \($0) nodes" } ?? ""
            let used = "\(ByteCount(usage.usedBytes)) of \(ByteCount(usage.limitBytes)) used\(nodes)"
            return "\(mountpoint) is full: \(used)"
        case .user:
            let user = entry.limitUser.value.map { "user \($0)" } ?? "a user"
            return "\(user) has reached the limit of \(entry.figure(entry.limit.value)) on \(mountpoint)"
        case .directory:
            let directory = entry.limitDirectory.value.map { "\(mountpoint)/\($0)" } ?? "a directory"
            return "\(directory) has reached its quota of \(entry.figure(entry.limit.value))"
        case .memoryGuard:
            return "\(mountpoint) may not grow: memory is short"
        case .storage: return "\(mountpoint) cannot do that: its storage kind forbids it"
        case .writeback:
            return """
                \(mountpoint) has lost a page at \(first.refusal.attempt.offset ?? 0) of inode \
                \(entry.inode), dirtied through a mapping, that did not fit (writer unknown): fallocate such \
                files before mapping them
                """
        }
    }

    /// Who holds most where it is full; of a user's files the largest.
    private static func holder(_ first: RefusalRecord, _ mountpoint: String, _ tree: Tree) -> String {
        let hasLevel = first.kind == .directory || first.kind == .user
        let level = hasLevel ? first.refusal.note?.level : nil
        let largest = tree.largestHolder(in: level, steps: RefusalWatch.searchSteps)
        let share = largest.isComplete ? "" : ", as far as was looked"
        let nodes = "\(largest.ownerNodes) \(largest.ownerNodes == 1 ? "node" : "nodes")"
        let owner = "user \(largest.owner) holds most (\(ByteCount(largest.ownerBytes)), \(nodes)\(share))"
        guard let file = largest.file else { return owner }
        let path = tree.paths(of: [file], steps: RefusalWatch.searchSteps)[file]
        let name = path.map { "\(mountpoint)/\(MountPath(names: $0).text)" } ?? "one that has no name"
        return "\(owner), the largest file is \(name) (\(ByteCount(largest.fileBytes)))"
    }
}
