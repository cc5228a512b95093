import ArgumentParser
import Basics
import Control
import Daemon

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Have a mount read its configuration file anew, and resize as it says.",
        discussion: "The same as SIGHUP to its daemon, but says what became of it.")

    @Argument(help: "Where it is mounted.")
    var mountpoint: String

    func run() throws {
        let mount = try Lookup.mount(mountpoint)
        switch try Client.reload(mount) {
        case .failure(let refusal):
            throw Failure(refusal.cause == .malformed ? .usage : .refused, refusal.description)
        case .success(let answer):
            let nodes = answer.maxNodes.value.map { "\($0) nodes" } ?? "no node limit"
            printOut("\(mount.mountpoint): limit \(ByteCount(answer.limitBytes)), \(nodes)")
            if let warning = answer.warning { warn(warning) }
        }
    }
}
