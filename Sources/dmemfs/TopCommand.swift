import ArgumentParser
import Basics
import Control
import Daemon
import Glibc

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Show who holds the bytes and nodes of a mount.",
        discussion: """
            Counted is what is charged: data, names, inodes and all else that is kept. A file with several \
            names counts once, where it is found first. Files that are open without a name are shown apart, \
            with the processes that hold them. For root and the mount's owner; others go on meanwhile.
            """)

    @Argument(help: "Where it is mounted. (default: the only mount there is)")
    var mountpoint: String?

    @Option(help: "What to add up: dir, with all that is below, user or age; or the largest of each file.")
    var by: TopReport.Order = .dir

    @Flag(help: "Print JSON, whose keys are a promise.")
    var json = false

    @Option(name: .customShort("n"), help: "How many lines at the most.")
    var count = 20

    @Flag(help: "Stay on the terminal and look again and again; q quits. Elsewhere it prints once.")
    var watch = false

    func validate() throws {
        guard (1...100_000).contains(count) else {
            throw ValidationError("-n: '\(count)' is not a number of lines: write one from 1 to 100000")
        }
    }

    func run() throws {
        let mount = try Lookup.mount(orOnly: mountpoint)
        // What adds up takes no processor from those who work.
        _ = nice(10)
        if watch, !json, Terminal.columns != nil {
            return try TopScreen(mount, by: by).run()
        }
        var survey = try TopSurvey(of: mount, count: count)
        while try survey.goOn() {}
        guard let report = survey.report(by: by) else { return }
        if json { return printOut(try JSON.encode(report)) }
        for line in TopText(report: report, columns: Terminal.columns).lines() { printOut(line) }
    }
}

extension TopReport.Order: ExpressibleByArgument {}

/// One look at all nodes of a mount, a piece at a time.
struct TopSurvey {
    private let mount: MountEntry
    private let stream: NodeStream
    private let now: Int64
    private let count: Int
    private var tally: TopTally
    private var status: Status?
    /// Of users, in bytes.
    private var limits: [Int: Int] = [:]
    private var holders: [UInt64: [UnlinkedHolders.Holder]] = [:]

    /// Begins; does not wait for the daemon.
    ///
    /// - Parameter count: how many of the largest things are wanted.
    init(of mount: MountEntry, count: Int) throws(ControlError) {
        self.mount = mount
        self.count = count
        stream = try NodeStream(of: mount)
        now = Clock.system.now().seconds
        tally = TopTally(now: now, files: count)
    }

    /// Readable when there is more.
    var descriptor: Int32 { stream.descriptor }

    /// Waits for the next piece and takes it; returns whether there is more.
    mutating func goOn() throws -> Bool {
        switch try stream.read({ node, name in tally.add(node, name: name) }) {
        case .goesOn: return true
        case .refused(let refusal): throw Failure(.refused, refusal.description)
        case .ended:
            tally.rollUp()
            status = try Client.status(of: mount)
            if case .success(let largest) = try Client.largestQuotas(of: mount, upTo: count) {
                let limited = largest.users.map { ($0.user, $0.maxBytes.value) }
                limits = Dictionary(limited) { first, _ in first }.compactMapValues { $0 }
            }
            holders = UnlinkedHolders.of(Set(tally.unlinked.prefix(count).map(\.inode)), on: mount)
            return false
        }
    }

    /// nil before the end.
    func report(by order: TopReport.Order) -> TopReport? {
        status.map {
            TopReport(
                of: tally, $0, limits: limits, holders: holders, by: order, count: count, now: now)
        }
    }
}
