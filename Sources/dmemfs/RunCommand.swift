import ArgumentParser
import Basics
import Control
import Daemon
import Glibc

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a command with a filesystem of its own, which ends with it.",
        usage: "dmemfs run [options] -- <command> ...",
        discussion: """
            TMPDIR and DMEMFS_DIR name the filesystem, which no other process sees. Needs no root: a user \
            needs user namespaces, and keeps his own number in there. What the command leaves running is \
            killed. Ends as the command did: with its code, or 128 and the signal.
            """)

    @OptionGroup var limits: LimitOptions

    @Flag(help: "Report what was used at the most as one line of JSON, whose keys are a promise.")
    var json = false

    @Option(help: "Where to write the report. (default: the standard error)")
    var report: String?

    @Argument(parsing: .postTerminator, help: "The program to run, and its arguments.")
    var command: [String] = []

    func run() throws {
        guard !command.isEmpty else {
            throw Failure(
                .usage, "no command: write it behind '--', as in 'dmemfs run --size 2G -- make test'")
        }
        let request = MountRequest(mountpoint: "/", settings: limits.settings, makesMountpoint: false)
        _ = try Configuration(validating: request, asUser: geteuid(), group: getegid())
        let paper = try openReport()
        let mounting = limits.settings.map { "\($0.spelling)\($0.value.map { "=\($0)" } ?? "")" }
        let outcome = try ScratchRun.run(command, mounting: mounting)
        if let status = outcome.status { try write(RunReport(outcome.code, status), to: paper) }
        throw ExitCode(outcome.code)
    }

    /// Before the command runs: what it did must not be lost to a bad path.
    private func openReport() throws(Failure) -> Int32 {
        guard let report else { return STDERR_FILENO }
        do throws(Errno) {
            return try Files.create(report)
        } catch {
            throw Failure(.usage, "--report: cannot write \(report): \(error)")
        }
    }

    private func write(_ report: RunReport, to paper: Int32) throws {
        let line = json ? try JSON.encodeLine(report) : Array("dmemfs: \(report)\n".utf8)
        do throws(Errno) {
            try Files.write(line, to: paper)
        } catch {
            // The command's own code matters more than a full disk.
            Files.complain("dmemfs: cannot write the report: \(error)")
        }
    }
}

/// What a command used of its filesystem at the most. The keys are a promise to scripts.
struct RunReport: Encodable, CustomStringConvertible {
    let exitCode: Int
    let limitBytes: Int
    let peakBytes: Int
    let maxNodes: OptionalCount
    let peakNodes: Int
    let refusals: Status.Refusals

    init(_ code: Int32, _ status: Status) {
        exitCode = Int(code)
        limitBytes = status.limitBytes
        peakBytes = status.peakBytes
        maxNodes = status.maxNodes
        peakNodes = status.peakNodes
        refusals = status.refusals
    }

    enum CodingKeys: String, CodingKey {
        case exitCode = "exit_code"
        case limitBytes = "limit_bytes"
        case peakBytes = "peak_bytes"
        case maxNodes = "max_nodes"
        case peakNodes = "peak_nodes"
        case refusals
    }

    var description: String {
        let nodes =
            maxNodes.value.map { "\(peakNodes) of \($0) nodes" }
            ?? (peakNodes == 1 ? "1 node" : "\(peakNodes) nodes")
        let refused = refusals.summary.isEmpty ? "" : "; refused \(refusals.summary)"
        let bytes = "\(ByteCount(peakBytes)) (\(peakBytes) bytes) of \(ByteCount(limitBytes))"
        return "peak \(bytes), \(nodes)\(refused)"
    }
}
