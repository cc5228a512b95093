import Basics
import Control
import Serving
import Tree

/// Answers `/v1/refusals` for one mount.
struct RefusalControl: RefusalKeeper {
    let watch: RefusalWatch
    let tree: Tree

    func refusals(for peer: Peer) -> [RefusalEntry] {
        watch.last()
            .filter { peer.mayKnowNames || $0.user == peer.user }
            .map { $0.entry(of: tree) }
    }
}

extension RefusalRecord {
    /// The longest path that is shown, in bytes: of a longer one the end.
    private static let pathLimitBytes = 512

    var pathText: String? { Self.text(path) }

    private static func text(_ place: Place) -> String? {
        guard case .at(let names) = place else { return nil }
        let text = MountPath(names: names).text
        guard text.utf8.count > pathLimitBytes else { return text }
        return "…" + String(decoding: text.utf8.suffix(pathLimitBytes), as: UTF8.self)
    }

    func entry(of tree: Tree) -> RefusalEntry {
        let note = refusal.note
        let isUnknown = kind == .writeback
        return RefusalEntry(
            number: number, time: Double(first.milliseconds) / 1000,
            lastTime: Double(last.milliseconds) / 1000, count: count, kind: kind.name,
            errno: Wording.name(of: refusal.error), operation: refusal.attempt.operation.rawValue,
            path: pathText, inode: Int(truncatingIfNeeded: refusal.number),
            user: isUnknown ? nil : user.map { Int($0) },
            pid: isUnknown || refusal.caller.process == 0
                ? nil : Int(culprit?.process ?? refusal.caller.process),
            command: isUnknown ? nil : culprit?.command, unit: note?.countsNodes == true ? "nodes" : "bytes",
            asked: note?.asked, free: note?.free, limit: note?.limit,
            limitDirectory: note.map { $0.level == 0 || $0.level == tree.levelNumber } ?? true
                ? nil : Self.text(limit),
            limitUser: limitUser.map { Int($0) })
    }
}
