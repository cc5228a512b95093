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

    @Option(help: "The limit: 512M, 2G, or a share of the memory such as 25%. (default: 25%)")
    var size: String?

    @Option(help: "The most files, directories and other nodes: 1000, 64k, 1m. (default: no such limit)")
    var maxNodes: String?

    @Option(help: "How the node too many fails: EMFILE, ENOSPC or EDQUOT. (default: EMFILE)")
    var nodeLimitErrno: String?

    @Option(help: "How file contents are kept: auto, sequential or random_access. (default: auto)")
    var storage: String?

    @Option(help: "What each chunk of a sequential file costs, in bytes. (default: 128)")
    var chunkOverhead: String?

    @Option(help: "Refuse to make files larger than this random-access. (default: none are refused)")
    var promotionLimit: String?

    @Option(help: "The engine: auto, memory, strict or passthrough. (default: auto, which is memory)")
    var io: String?

    @Option(help: "Huge pages of engine passthrough: auto, never or within_size. (default: auto)")
    var huge: String?

    @Option(help: "How long a stop waits for those who use the mount: 20s, 500ms, 2m. (default: 20s)")
    var stopTimeout: String?

    @Option(help: "When to look at the memory there is: none, init or per_write. (default: per_write)")
    var memoryGuard: String?

    @Option(help: "What to do where it does not suffice: warn or raise. (default: raise)")
    var memoryGuardAction: String?

    @Option(help: "How often to look at the most: 1s, 200ms. (default: 1s)")
    var memoryGuardInterval: String?

    @Option(help: "How much memory to leave for everybody else. (default: 64M)")
    var memoryGuardHeadroom: String?

    @Option(help: "How much freed memory to keep for the next file, for speed. (default: 8M)")
    var keepFree: String?

    @Flag(help: "Keep and heed POSIX ACLs; costs requests for each directory that changes.")
    var acl = false

    @Flag(help: "Make the directory if it is missing.")
    var mkdir = false

    @Option(
        name: .customShort("o", allowingJoined: true),
        help: ArgumentHelp("Settings as mount(8) and fstab spell them, between commas.", valueName: "list"))
    var lists: [String] = []

    @Flag(help: "Keep the memory out of swap.")
    var mlock = false

    @Option(help: "Read further settings from this file, weaker than DMEMFS_… variables and flags.")
    var config: String?

    @Option(help: "The same, where the file may be missing.")
    var configIfExists: String?

    @Option(help: .private)
    var readyFd: Int32?

    /// mount(8)'s `-s`.
    @Flag(help: .private)
    var sloppy = false

    /// Print nothing when the mount is there, as mount(8) does.
    @Flag(help: .private)
    var quiet = false

    /// The flags in the vocabulary of `-o`.
    private var flags: [Setting] {
        let values = [
            ("size", size), ("max_nodes", maxNodes), ("node_limit_errno", nodeLimitErrno),
            ("storage", storage), ("chunk_overhead", chunkOverhead), ("promotion_limit", promotionLimit),
            ("io", io), ("huge", huge), ("stop_timeout", stopTimeout), ("memory_guard", memoryGuard),
            ("memory_guard_action", memoryGuardAction), ("memory_guard_interval", memoryGuardInterval),
            ("memory_guard_headroom", memoryGuardHeadroom), ("keep_free", keepFree),
        ]
        let words = acl ? [Setting(name: "acl", value: nil, spelling: "--acl")] : []
        return words
            + values.compactMap { name, value in
                guard let value else { return nil }
                let spelling = "--" + name.replacing("_", with: "-")
                return Setting(name: name, value: value, spelling: spelling)
            }
    }

    func run() throws {
        throw ExitCode(outcome(commandLine: CommandLine.arguments))
    }

    func request() throws(Failure) -> MountRequest {
        var settings = lists.flatMap { OptionList.settings(in: $0) } + flags
        if mlock { settings.append(Setting(name: "mlock", value: nil, spelling: "--mlock")) }
        let named = settings.last { $0.name == "config" }?.value
        settings.removeAll { $0.name == "config" }
        var request = MountRequest(
            mountpoint: mountpoint, settings: settings, makesMountpoint: mkdir, ignoresUnknown: sloppy)
        if let file = config ?? named ?? configIfExists {
            request.file = try ConfigurationFile(file, isOptional: config == nil && named == nil)
        }
        request.environment = MountRequest.fromEnvironment()
        return request
    }

    /// Mounts, and returns what to end with; what went wrong has been said then.
    ///
    /// - Parameter commandLine: what starts this very mount: the program's name, the verb and the rest.
    func outcome(commandLine: [String]) -> Int32 {
        let sink = LogSink()
        let readiness = Readiness(readyDescriptor: readyFd, isQuiet: quiet, sink: sink)
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
