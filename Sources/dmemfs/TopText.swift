import Basics
import Control
import Daemon

/// A report as lines for people.
struct TopText {
    let report: TopReport
    /// Lines are cut to so many columns; nil for no bound.
    let columns: Int?

    /// - Parameter rows: how many lines at the most; nil for no bound.
    func lines(rows: Int? = nil) -> [String] {
        let unlinked = unlinkedLines
        var entries = report.entries.map(line)
        // What has no name is seldom much and easily overlooked: half of the room is for it.
        if let rows { entries = Array(entries.prefix(max(1, rows - 3 - min(unlinked.count, rows / 2)))) }
        var lines = [summary, "", heading] + entries + unlinked
        if let rows { lines = Array(lines.prefix(rows)) }
        return lines.map(fitted)
    }

    private var summary: String {
        let nodes = report.maxNodes.value.map { "\(report.nodes) of \($0) nodes" } ?? "\(report.nodes) nodes"
        var text = """
            \(Self.printable(report.mountpoint)): \(size(report.usedBytes)) of \(size(report.limitBytes)) \
            used (\(share(report.usedBytes, of: report.limitBytes))), \(nodes)
            """
        if report.otherBytes > 0 { text += ", no file's \(size(report.otherBytes))" }
        return text
    }

    private var heading: String {
        let what =
            switch report.by {
            case .dir: "DIRECTORY AND ALL BELOW"
            case .user: "USER"
            case .file: "FILE"
            case .age: "LAST CHANGED"
            }
        let middle = report.by == .file ? [right("AGE", 9), left("USER", 10)] : [right("NODES", 9)]
        return ([right("USED", 10), right("SHARE", 6)] + middle + [what]).joined(separator: "  ")
    }

    private func line(_ entry: TopReport.Entry) -> String {
        let used = [right(size(entry.bytes), 10), right(share(entry.bytes, of: report.usedBytes), 6)]
        let nodes = right("\(entry.nodes)", 9)
        let user = entry.user ?? "\(entry.uid ?? 0)"
        let rest =
            switch report.by {
            case .dir: [nodes, path(entry, behind: 31)]
            case .user:
                [nodes, Self.printable(user) + (entry.limitBytes.map { ", limit \(size($0))" } ?? "")]
            case .file:
                [
                    right(Self.age(entry.ageSeconds ?? 0), 9), left(Self.printable(user), 10),
                    path(entry, behind: 43),
                ]
            case .age: [nodes, Self.ageRange(from: entry.ageSeconds ?? 0)]
            }
        return (used + rest).joined(separator: "  ")
    }

    private var unlinkedLines: [String] {
        guard report.unlinkedNodes > 0 else { return [] }
        let files = report.unlinkedNodes == 1 ? "1 file" : "\(report.unlinkedNodes) files"
        let head = [
            "", "open without a name: \(size(report.unlinkedBytes)) in \(files)",
            [right("USED", 10), right("AGE", 6), right("INODE", 9), "HELD BY"].joined(separator: "  "),
        ]
        return head
            + report.unlinked.map { file in
                let holders = file.holders.map { "\($0.pid) (\(Self.printable($0.command)))" }
                let held = holders.isEmpty ? "nobody that this user can see" : holders.joined(separator: ", ")
                return [
                    right(size(file.bytes), 10), right(Self.age(file.ageSeconds), 6),
                    right("\(file.inode)", 9), held,
                ].joined(separator: "  ")
            }
    }

    // MARK: - Words

    private func size(_ bytes: Int) -> String { "\(ByteCount(bytes))" }

    private func share(_ part: Int, of whole: Int) -> String {
        guard whole > 0 else { return "-" }
        let tenths = Int(Double(part) / Double(whole) * 1000)
        return "\(tenths / 10).\(tenths % 10) %"
    }

    static func age(_ seconds: Int) -> String {
        for (unit, length) in [("d", 86_400), ("h", 3600), ("min", 60)] where seconds >= length {
            return "\(seconds / length) \(unit)"
        }
        return "\(seconds) s"
    }

    private static func ageRange(from least: Int) -> String {
        guard let next = TopTally.ages.first(where: { $0 > least }) else { return "before that" }
        let words = [60: "minute", 3600: "hour", 86_400: "day", 7 * 86_400: "week"]
        return "within the last \(words[next] ?? age(next))"
    }

    /// What a terminal shows as one sign each: a name may hold anything, and must not steer the terminal.
    static func printable(_ text: String) -> String {
        var plain = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
                plain += "\\u{\(String(scalar.value, radix: 16))}"
            default: plain.unicodeScalars.append(scalar)
            }
        }
        return plain
    }

    /// Of a long path the middle tells the least: its start says whose it is, its end what.
    private func path(_ entry: TopReport.Entry, behind taken: Int) -> String {
        let text = Self.printable(entry.path ?? "")
        guard let columns, text.count > columns - taken else { return text }
        let room = max(2, columns - taken - 1)
        return "\(text.prefix(room / 3))…\(text.suffix(room - room / 3))"
    }

    private func fitted(_ line: String) -> String {
        guard let columns, line.count > columns else { return line }
        return "\(line.prefix(columns - 1))…"
    }

    private func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
