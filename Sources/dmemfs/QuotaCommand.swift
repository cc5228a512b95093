import ArgumentParser
import Basics
import Control
import Daemon

struct QuotaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota",
        abstract: "Limit what directories of a mount may hold and users may own, while they are in use.",
        discussion: "Only root and the mount's owner may change quotas; a user may get his own.",
        subcommands: [Set.self, Get.self, List.self, Remove.self])

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Give a directory or a user a limit, or change it.",
            discussion: """
                What is in the directory, or is the user's, counts at once. A limit below that is refused, \
                with the figures. Within a directory df shows the limit; what would exceed one fails with \
                EDQUOT.
                """)

        @OptionGroup var subject: QuotaSubject

        @Option(help: "The limit: 512M, 2G, a share of the mount's such as 25%, or none. (default: as it is)")
        var size: String?

        @Option(help: "The most files, directories and other nodes: 1000, 64k, or none. (default: as it is)")
        var maxNodes: String?

        @Flag(help: "Set the bytes aside, so that the directory is sure to get them (engine memory).")
        var reserve = false

        @Flag(help: "Set a limit although more is in use; nothing may grow until use has fallen below it.")
        var drain = false

        @Flag(help: "Print JSON, whose keys are a promise.")
        var json = false

        func run() throws {
            try check()
            let request = QuotaChangeRequest(size: size, maxNodes: maxNodes, reserve: reserve, drain: drain)
            if let user = try subject.number {
                guard !reserve else { throw Failure(.usage, "--reserve is for directories, not for --user") }
                let mount = try Lookup.mount(subject.place)
                let status = try granted(Client.setQuota(request, ofUser: user, on: mount))
                return try QuotaCommand.show([status], of: mount, json)
            }
            let (mount, path) = try QuotaCommand.find(subject.place)
            let status = try granted(Client.setQuota(request, of: path, on: mount))
            try QuotaCommand.show([status], of: mount, json)
        }

        /// Bad words need no daemon to tell.
        private func check() throws(Failure) {
            guard size != nil || maxNodes != nil else {
                throw Failure(.usage, "nothing to change: name a limit with --size or --max-nodes")
            }
            do throws(QuantityError) {
                if let size, size != "none" { _ = try SizeArgument(parsing: size) }
            } catch {
                throw Failure(.usage, "--size: \(error)")
            }
            do throws(QuantityError) {
                if let maxNodes, maxNodes != "none" { _ = try CountArgument.parse(maxNodes) }
            } catch {
                throw Failure(.usage, "--max-nodes: \(error)")
            }
        }
    }

    struct Get: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "get", abstract: "Show the quota of a directory or a user, and what is used of it.")

        @OptionGroup var subject: QuotaSubject

        @Flag(help: "Print JSON, whose keys are a promise.")
        var json = false

        func run() throws {
            if let user = try subject.number {
                let mount = try Lookup.mount(subject.place)
                let status = try granted(Client.quota(ofUser: user, on: mount))
                return try QuotaCommand.show([status], of: mount, json)
            }
            let (mount, path) = try QuotaCommand.find(subject.place)
            try QuotaCommand.show(
                [try granted(Client.quota(of: path, on: mount))], of: mount, json)
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Show all quotas of a mount: of directories, then of users.")

        @Argument(help: "Where it is mounted. (default: the only mount there is)")
        var mountpoint: String?

        @Option(help: "Show the limit of this user alone, by name or number.")
        var user: String?

        @Flag(help: "Print JSON, whose keys are a promise.")
        var json = false

        func run() throws {
            let mount = try Lookup.mount(orOnly: mountpoint)
            var list = try granted(Client.quotas(of: mount))
            if let user = try QuotaSubject.number(of: user) {
                list.quotas = []
                list.users = list.users.filter { $0.user == Int(user) }
            }
            if json { return printOut(try JSON.encode(list)) }
            try QuotaCommand.show(list.quotas, of: mount, false)
            try QuotaCommand.show(list.users, of: mount, false)
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Take the quota of a directory or a user away; the files stay.")

        @OptionGroup var subject: QuotaSubject

        func run() throws {
            if let user = try subject.number {
                let mount = try Lookup.mount(subject.place)
                _ = try granted(Client.removeQuota(ofUser: user, on: mount))
                return
            }
            let (mount, path) = try QuotaCommand.find(subject.place)
            _ = try granted(Client.removeQuota(of: path, on: mount))
        }
    }

    // MARK: - What they share

    /// The mount of ours that holds `directory`, and the path in it. Touches nothing of the mount.
    private static func find(_ directory: String) throws(Failure) -> (MountEntry, MountPath) {
        let table = try Lookup.table()
        do throws(Errno) {
            if let (mount, path) = try Mountpoint.mount(holding: directory, in: table) {
                return (mount, MountPath(path))
            }
        } catch {
            throw Failure(.notMounted, "cannot reach \(directory): \(error)")
        }
        throw Failure(.notMounted, "\(directory) is not in a dmemfs: 'dmemfs list' shows the mounts")
    }

    private static func show(
        _ quotas: [QuotaStatus], of mount: MountEntry, _ json: Bool
    ) throws(ControlError) {
        for quota in quotas {
            if json {
                printOut(try JSON.encode(quota))
                continue
            }
            let aside = quota.reserved ? ", set aside" : ""
            let use = use(
                quota.usedBytes, of: quota.maxBytes, aside, nodes: quota.usedNodes, of: quota.maxNodes)
            printOut("\(mount.mountpoint)/\(quota.directory): \(use)")
        }
    }

    private static func show(
        _ quotas: [UserQuotaStatus], of mount: MountEntry, _ json: Bool
    ) throws(ControlError) {
        for quota in quotas {
            if json {
                printOut(try JSON.encode(quota))
                continue
            }
            let name = Accounts.name(ofUser: UInt32(truncatingIfNeeded: quota.user)).map { " (\($0))" } ?? ""
            let use = use(
                quota.usedBytes, of: quota.maxBytes, "", nodes: quota.usedNodes, of: quota.maxNodes)
            printOut("\(mount.mountpoint), user \(quota.user)\(name): \(use)")
        }
    }

    private static func use(
        _ bytes: Int, of maxBytes: OptionalCount, _ aside: String, nodes: Int, of maxNodes: OptionalCount
    ) -> String {
        let limit = maxBytes.value.map { "\(ByteCount($0))" } ?? "no limit"
        let count = maxNodes.value.map { "\(nodes) of \($0)" } ?? "\(nodes)"
        return "\(ByteCount(bytes)) of \(limit)\(aside), nodes \(count)"
    }
}
