import ArgumentParser
import Basics
import Control
import Daemon

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what a mount holds, how much it may, and what it refused.")

    @Argument(help: "Where it is mounted. (default: the only mount there is)")
    var mountpoint: String?

    @Flag(help: "Print JSON, whose keys are a promise.")
    var json = false

    func run() throws {
        let mount = try Lookup.mount(orOnly: mountpoint)
        let status: Status
        do throws(ControlError) {
            status = try Client.status(of: mount)
        } catch {
            guard Unmounting.isDead(mount) else { throw Failure(.notMounted, error.description) }
            let place = mount.mountpoint
            throw Failure(.notMounted, "the dmemfs on \(place) is dead: 'dmemfs umount \(place)' clears it")
        }
        printOut(json ? try JSON.encode(status) : Array(text(status).utf8))
    }

    private func text(_ status: Status) -> String {
        let size = { (bytes: Int) in ByteCount(bytes).description }
        let share = status.limitBytes > 0 ? Double(status.usedBytes) / Double(status.limitBytes) * 1000 : 0
        let percent = "\(Int(share) / 10).\(Int(share) % 10) %"
        let nodes = status.maxNodes.value.map { "\(status.nodes) of \($0)" } ?? "\(status.nodes), no limit"
        let refused = status.refusals.summary
        let transport = status.transport == "device" ? "" : ", over \(status.transport)"
        return """
            \(status.mountpoint): dmemfs \(status.version), engine \(status.engine), \
            storage \(status.storage)\(transport)
              daemon    process \(status.pid), up \(status.uptimeSeconds) s, \
            resident \(size(status.residentBytes))
              used      \(size(status.usedBytes)) of \(size(status.limitBytes)) (\(percent)), \
            free \(size(status.freeBytes)), peak \(size(status.peakBytes))
              of this   data \(size(status.dataBytes)), metadata \(size(status.metadataBytes)), \
            open but unlinked \(size(status.openUnlinkedBytes))
              nodes     \(nodes)
              refused   \(refused.isEmpty ? "nothing" : refused)

            """ + frozen(status)
    }

    /// A line where it is; else nothing.
    private func frozen(_ status: Status) -> String {
        guard let frozen = status.frozen.value else { return "" }
        return "  frozen    \(frozen.summary.dropFirst("frozen ".count)), \(frozen.waiting)\n"
    }
}
