import ArgumentParser
import Control

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Say which version this is.")

    func run() {
        printOut("dmemfs \(Version.current)")
    }
}
