import ArgumentParser
import Control
import Daemon

struct ThawCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thaw", abstract: "Let a frozen mount be changed again.",
        discussion: "For root and the mount's owner.")

    @Argument(help: "Where it is mounted.")
    var mountpoint: String

    func run() throws {
        let mount = try Lookup.mount(mountpoint)
        let end = try granted(try Client.thaw(mount))
        printOut("\(mount.mountpoint): thawed after \(end.secondsFrozen) s, \(end.waited)")
    }
}
