import ArgumentParser
import Basics
import Control
import Daemon

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the dmemfs mounts that this process sees.")

    @Flag(help: "Print JSON, whose keys are a promise.")
    var json = false

    private struct Row: Encodable {
        let mountpoint: String
        let name: String
        /// `live`; `dead` after the daemon was killed; `unknown` where it does not answer us.
        let state: String
        let pid: OptionalCount
        let limitBytes: OptionalCount
        let usedBytes: OptionalCount

        enum CodingKeys: String, CodingKey {
            case mountpoint, name, state, pid
            case limitBytes = "limit_bytes"
            case usedBytes = "used_bytes"
        }
    }

    func run() throws {
        let rows = try Lookup.table().ours.map { row(for: $0) }
        guard !json else {
            printOut(try JSON.encode(rows))
            return
        }
        for row in rows {
            let size = { (count: OptionalCount) in count.value.map { ByteCount($0).description } ?? "?" }
            let figures = row.state == "live" ? " \(size(row.usedBytes)) of \(size(row.limitBytes))" : ""
            printOut("\(row.mountpoint) (\(row.name)) \(row.state)\(figures)")
        }
    }

    private func row(for mount: MountEntry) -> Row {
        let status: Status?
        let state: String
        do throws(ControlError) {
            status = try Client.status(of: mount)
            state = "live"
        } catch {
            status = nil
            state = Unmounting.isDead(mount) ? "dead" : "unknown"
        }
        return Row(
            mountpoint: mount.mountpoint, name: mount.source, state: state, pid: OptionalCount(status?.pid),
            limitBytes: OptionalCount(status?.limitBytes), usedBytes: OptionalCount(status?.usedBytes))
    }
}
