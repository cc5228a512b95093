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
        let answer = try granted(try Client.reload(mount))
        printOut("\(mount.mountpoint): limit \(ByteCount(answer.limitBytes)), \(answer.nodes)")
        if let warning = answer.warning { warn(warning) }
    }
}
