import Basics
import Control
import Daemon

/// `dmemfs top --watch` on a terminal.
final class TopScreen {
    /// The least time between two looks.
    private static let pauseMilliseconds = 2000
    /// After a look it rests for so many times what that took.
    private static let restPerWork = 4
    /// More lines than any terminal has.
    private static let lineLimit = 200
    private static let keys: [(key: Character, order: TopReport.Order, name: String)] = [
        ("d", .dir, "directories"), ("u", .user, "users"), ("f", .file, "files"), ("a", .age, "ages"),
    ]

    private let mount: MountEntry
    private var order: TopReport.Order
    private var survey: TopSurvey?
    private var tookMilliseconds = 0

    init(_ mount: MountEntry, by order: TopReport.Order) {
        self.mount = mount
        self.order = order
    }

    /// Looks and draws until q is typed, or the terminal is gone.
    func run() throws {
        let terminal: Terminal
        do throws(Errno) {
            terminal = try Terminal()
        } catch {
            throw Failure(.bug, "cannot take the terminal: \(error)")
        }
        defer { terminal.restore() }
        draw(on: terminal)
        while try look(terminal), rest(terminal) {}
    }

    /// Looks at all nodes once; false where that was enough.
    private func look(_ terminal: Terminal) throws -> Bool {
        let start = Files.monotonicMilliseconds()
        var survey = try TopSurvey(of: mount, count: Self.lineLimit)
        while true {
            let event = terminal.wait(for: survey.descriptor)
            guard event == .readable else {
                guard heed(event, terminal) else { return false }
                continue
            }
            if try survey.goOn() { continue }
            self.survey = survey
            tookMilliseconds = Files.monotonicMilliseconds() - start
            draw(on: terminal)
            return true
        }
    }

    /// Waits until it is time to look again; false where that was enough.
    private func rest(_ terminal: Terminal) -> Bool {
        let pause = max(Self.pauseMilliseconds, tookMilliseconds * Self.restPerWork)
        let end = Files.monotonicMilliseconds() + pause
        while true {
            let left = end - Files.monotonicMilliseconds()
            guard left > 0 else { return true }
            guard heed(terminal.wait(milliseconds: left), terminal) else { return false }
        }
    }

    /// Returns whether to go on.
    private func heed(_ event: Terminal.Event, _ terminal: Terminal) -> Bool {
        switch event {
        case .gone: return false
        case .key(UInt8(ascii: "q")): return false
        case .key(let key):
            guard let chosen = Self.keys.first(where: { $0.key.asciiValue == key }) else { return true }
            order = chosen.order
            draw(on: terminal)
        case .redraw: draw(on: terminal)
        case .readable, .timeout: break
        }
        return true
    }

    private func draw(on terminal: Terminal) {
        let (columns, rows) = (Terminal.columns ?? 80, Terminal.rows)
        var lines = ["looking at \(TopText.printable(mount.mountpoint)) …"]
        if let report = survey?.report(by: order) {
            lines = TopText(report: report, columns: columns).lines(rows: max(1, rows - 2))
        }
        let keys = Self.keys.map { "\($0.key) \($0.name)" }.joined(separator: "  ")
        lines += Array(repeating: "", count: max(0, rows - 1 - lines.count))
        lines.append(String("\(keys)  q quit    looked in \(tookMilliseconds) ms".prefix(columns)))
        terminal.draw(lines)
    }
}
