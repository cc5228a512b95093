import ArgumentParser
import Control
import Daemon

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say whether FUSE can mount here, and if not, why and what to do.",
        discussion: "Ends with 0 where 'dmemfs mount' can work, and else with 32.")

    @Flag(help: "Print JSON, whose keys are a promise.")
    var json = false

    func run() throws {
        let check = FuseCheck()
        if json {
            printOut(try JSON.encode(check))
        } else {
            for finding in check.findings {
                let mark =
                    switch finding.state {
                    case .good: "ok     "
                    case .failed: "FAILED "
                    case .absent: "-      "
                    }
                printOut("\(mark) \(finding.check): \(finding.says)")
                if let remedy = finding.remedy { printOut("        \(remedy)") }
            }
            printOut(check.canMount ? "FUSE can mount here" : "FUSE cannot mount here")
        }
        guard check.canMount else { throw ExitCode(ExitStatus.mountFailed.rawValue) }
    }
}
