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

    @Option(help: "Huge pages of engine passthrough: auto, never or within_size. (default: auto)")
    var huge: String?

    @Option(help: "How long a stop waits for those who use the mount: 20s, 500ms, 2m. (default: 20s)")
    var stopTimeout: String?

    @Option(
        help: "Say so when use comes to these percents of a limit: 80,90,95, or none. (default: 80,90,95)")
    var thresholds: String?

    @Option(help: "Run this program then: a whole path, without arguments. (default: none)")
    var thresholdHook: String?

    @Flag(help: "Make the directory if it is missing.")
    var mkdir = false

    @Option(
        name: .customShort("o", allowingJoined: true),
        help: ArgumentHelp("Settings as mount(8) and fstab spell them, between commas.", valueName: "list"))
    var lists: [String] = []

    @Flag(help: "Keep the memory out of swap.")
    var mlock = false

    @Option(help: "Tell metrics over TCP: :9200 for this machine alone, or ADDRESS:PORT. (default: do not)")
    var metricsListen: String?

    @Flag(help: "Show a page there as well, for browsers, and what it shows.")
    var page = false

    @Option(help: "Read further settings from this file, weaker than DMEMFS_… variables and flags.")
    var config: String?

    @Option(help: "The same, where the file may be missing.")
    var configIfExists: String?

    @Option(help: .private)
    var readyFd: Int32?

    @Flag(help: .private)
    var attached = false

    /// mount(8)'s `-s`.
    @Flag(help: .private)
    var sloppy = false

    /// Print nothing when the mount is there, as mount(8) does.
    @Flag(help: .private)
    var quiet = false

    /// The flags in the vocabulary of `-o`.
    private var flags: [Setting] {
        limits.settings
            + LimitOptions.settings([
                ("huge", huge), ("stop_timeout", stopTimeout), ("metrics_listen", metricsListen),
                ("thresholds", thresholds), ("threshold_hook", thresholdHook),
            ])
    }

    func run() throws {
        throw ExitCode(outcome(commandLine: CommandLine.arguments))
    }

    func request() throws(Failure) -> MountRequest {
        var settings = lists.flatMap { OptionList.settings(in: $0) } + flags
        if mlock { settings.append(Setting(name: "mlock", value: nil, spelling: "--mlock")) }
        if page { settings.append(Setting(name: "page", value: nil, spelling: "--page")) }
        let named = settings.last { $0.name == "config" }?.value
        settings.removeAll { $0.name == "config" }
        var request = MountRequest(
            mountpoint: mountpoint, settings: settings, makesMountpoint: mkdir, ignoresUnknown: sloppy)
        if let file = config ?? named ?? configIfExists {
            request.file = try ConfigurationFile(file, isOptional: config == nil && named == nil)
        }
        // What `dmemfs run` starts was given all that it is to heed.
        if !attached { request.environment = MountRequest.fromEnvironment() }
        return request
    }

    /// Mounts, and returns what to end with; what went wrong has been said then.
    ///
    /// - Parameter commandLine: what starts this very mount: the program's name, the verb and the rest.
    func outcome(commandLine: [String]) -> Int32 {
        let sink = LogSink()
        // The journal is told of the mount as of an event; one line about it is enough there.
        let isQuiet = quiet || attached || sink.isJournal
        let readiness = Readiness(
            readyDescriptor: readyFd, isAttached: attached, isQuiet: isQuiet, sink: sink)
        do {
            let configuration = try Configuration(
                validating: try request(), asUser: geteuid(), group: getegid())
            if readyFd == nil { configuration.warnings.forEach(warn) }
            guard foreground else {
                return try Background.start(commandLine, for: configuration.mountpoint)
            }
            let log = Logger(label: "dmemfs") { _ in LineLog(to: sink) }
            return try Daemon.run(configuration, readiness: readiness, log: log)
        } catch let error as ConfigurationError {
            let isMounted = Mountpoint.descriptor(in: mountpoint) != nil
            let remedy = isMounted ? ["the mount is there, but dead: 'umount -l DIRECTORY' clears it"] : []
            readiness.failed(error.faults.map(\.description) + remedy, status: error.status)
            return error.status.rawValue
        } catch let failure as Failure {
            readiness.failed([failure.description], status: failure.status)
            return failure.status.rawValue
        } catch {
            readiness.failed(["\(error)"], status: .bug)
            return ExitStatus.bug.rawValue
        }
    }
}
