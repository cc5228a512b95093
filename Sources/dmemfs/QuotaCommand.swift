import ArgumentParser
import Basics
import Control
import Daemon

struct QuotaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota", abstract: "Limit what directories of a mount may hold, while they are in use.",
        discussion: "Only root and the mount's owner may change quotas.",
        subcommands: [Set.self, Get.self, List.self, Remove.self])

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Give a directory a limit, or change the one that it has.",
            discussion: """
                What is in the directory counts at once. A limit below that is refused, with the figures. \
                Within, df shows the limit; what would exceed it fails with EDQUOT.
                """)

        @Argument(help: "A directory of a mount, by a path without links inside of it.")
        var directory: String

        @Option(help: "The limit: 512M, 2G, a share of the mount's such as 25%, or none. (default: as it is)")
        var size: String?

        @Option(help: "The most files, directories and other nodes: 1000, 64k, or none. (default: as it is)")
        var maxNodes: String?

        @Flag(help: "Set the bytes aside, so that the directory is sure to get them.")
        var reserve = false

        @Flag(help: "Set a limit although more is in use; nothing may grow until use has fallen below it.")
        var drain = false

        @Flag(help: "Print JSON, whose keys are a promise.")
        var json = false

        func run() throws {
            try check()
            let (mount, path) = try QuotaCommand.find(directory)
            let request = QuotaChangeRequest(size: size, maxNodes: maxNodes, reserve: reserve, drain: drain)
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
            commandName: "get", abstract: "Show a directory's quota and what is in use of it.")

        @Argument(help: "A directory with a quota.")
        var directory: String

        @Flag(help: "Print JSON, whose keys are a promise.")
        var json = false

        func run() throws {
            let (mount, path) = try QuotaCommand.find(directory)
            try QuotaCommand.show(
                [try granted(Client.quota(of: path, on: mount))], of: mount, json)
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Show all quotas of a mount.")

        @Argument(help: "Where it is mounted. (default: the only mount there is)")
        var mountpoint: String?

        @Flag(help: "Print JSON, whose keys are a promise.")
        var json = false

        func run() throws {
            let mount = try Lookup.mount(orOnly: mountpoint)
            let list = try granted(Client.quotas(of: mount))
            if json { return printOut(try JSON.encode(list)) }
            try QuotaCommand.show(list.quotas, of: mount, false)
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Take a directory's quota away; what is in it stays.")

        @Argument(help: "A directory with a quota.")
        var directory: String

        func run() throws {
            let (mount, path) = try QuotaCommand.find(directory)
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
            let limit = quota.maxBytes.value.map { "\(ByteCount($0))" } ?? "no limit"
            let nodes = quota.maxNodes.value.map { "\(quota.usedNodes) of \($0)" } ?? "\(quota.usedNodes)"
            let aside = quota.reserved ? ", set aside" : ""
            printOut(
                "\(mount.mountpoint)/\(quota.directory): "
                    + "\(ByteCount(quota.usedBytes)) of \(limit)\(aside), nodes \(nodes)")
        }
    }
}
