import ArgumentParser
import Basics
import Control
import Daemon

struct WhyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why", abstract: "Show what a mount has refused lately: what, to whom, and why.",
        discussion: """
            The newest is last. The mount remembers 256; what one process is refused again and again counts \
            as one. Root and the mount's owner see all, another user his own.
            """)

    @Argument(help: "Where it is mounted. (default: the only mount there is)")
    var mountpoint: String?

    @Option(help: "How many to show.")
    var last = 20

    @Flag(help: "Print JSON, whose keys are a promise.")
    var json = false

    func run() throws {
        guard last > 0 else { throw Failure(.usage, "--last: \(last) is no number above 0") }
        let mount = try Lookup.mount(orOnly: mountpoint)
        let list = try Client.refusals(of: mount, last: last)
        if json { return printOut(try JSON.encode(list)) }
        if list.refusals.isEmpty { return printOut("\(mount.mountpoint): nothing was refused") }
        for refusal in list.refusals {
            let paragraphs = refusal.text(below: mount.mountpoint)
            printOut(Printable.wrapped(paragraphs[0], columns: 80, indent: 20))
            for paragraph in paragraphs.dropFirst() {
                printOut("    " + Printable.wrapped(paragraph, columns: 76, indent: 4))
            }
        }
    }
}
