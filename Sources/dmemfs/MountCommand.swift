import ArgumentParser
import Basics
import Daemon
import Glibc
import Logging

struct MountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount", abstract: "Mount a bounded in-memory filesystem on a directory.",
        discussion: "Returns when the mount can be used; the daemon goes on in the background.")

    @Argument(help: "The directory to mount on.")
    var mountpoint: String

    @Flag(name: [.customShort("f"), .long], help: "Serve in the foreground, for units and containers.")
    var foreground = false

    @OptionGroup var limits: LimitOptions

    @Option(help: "How long a stop waits for those who use the mount: 20s, 500ms, 2m. (default: 20s)")
    var stopTimeout: String?

    @Flag(help: "Make the directory if it is missing.")
    var mkdir = false

    @Option(
        name: .customShort("o", allowingJoined: true),
        help: ArgumentHelp("Settings as mount(8) and fstab spell them, between commas.", valueName: "list"))
    var lists: [String] = []

    @Option(help: .private)
    var readyFd: Int32?

    @Flag(help: .private)
    var attached = false

    /// The flags in the vocabulary of `-o`.
    private var flags: [Setting] {
        limits.settings + LimitOptions.settings([("stop_timeout", stopTimeout)])
    }

    func run() throws {
        let readiness = Readiness(readyDescriptor: readyFd, isAttached: attached)
        let request = MountRequest(
            mountpoint: mountpoint, settings: lists.flatMap { OptionList.settings(in: $0) } + flags,
            makesMountpoint: mkdir)
        do {
            let configuration = try Configuration(validating: request, asUser: geteuid(), group: getegid())
            guard foreground else {
                throw ExitCode(try Background.start(CommandLine.arguments))
            }
            let log = Logger(label: "dmemfs") { _ in LineLog() }
            throw ExitCode(try Daemon.run(configuration, readiness: readiness, log: log))
        } catch let error as ConfigurationError {
            readiness.failed(error.faults.map(\.description), status: error.status)
            throw ExitCode(error.status.rawValue)
        } catch let failure as Failure {
            readiness.failed([failure.description], status: failure.status)
            throw ExitCode(failure.status.rawValue)
        }
    }
}
