import ArgumentParser
import Basics
import Control
import Daemon

struct MetricsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics", abstract: "Print the figures of a mount as monitoring reads them.",
        discussion: """
            In the text format of Prometheus. Only root and the mount's owner see the figures of directories.
            """)

    @Argument(help: "Where it is mounted. (default: the only mount there is)")
    var mountpoint: String?

    @Option(help: "Put them into this file, all at once, such as for node_exporter's textfile collector.")
    var textfile: String?

    @Flag(name: .customLong("openmetrics"), help: "Write OpenMetrics 1.0 instead.")
    var openMetrics = false

    @Flag(help: "Then begin anew to keep the recent peaks.")
    var resetPeaks = false

    func run() throws {
        let mount = try Lookup.mount(orOnly: mountpoint)
        let metrics = try Client.metrics(of: mount, as: openMetrics ? .openMetrics : .prometheus)
        if let textfile {
            do throws(Errno) {
                try Files.replace(textfile, with: metrics)
            } catch {
                throw Failure(.refused, "cannot write \(textfile): \(error)")
            }
        } else {
            printOut(metrics)
        }
        guard resetPeaks else { return }
        switch try Client.resetPeaks(of: mount) {
        case .success: return
        case .failure(let refusal): throw Failure(.refused, refusal.description)
        }
    }
}
