import ArgumentParser
import Basics
import Control
import Daemon
import Glibc

/// The command line: one verb a file. Whatever goes wrong anywhere comes up to here, as one line and an exit
/// code.
@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmemfs",
        abstract: "An in-memory filesystem that never holds more than its limit.",
        version: "dmemfs \(Version.current)",
        subcommands: [
            MountCommand.self, UmountCommand.self, RunCommand.self, StatusCommand.self, ResizeCommand.self,
            QuotaCommand.self, FreezeCommand.self, ThawCommand.self, TopCommand.self, WhyCommand.self,
            MetricsCommand.self, ReloadCommand.self, ListCommand.self, CheckCommand.self,
            VersionCommand.self,
        ])

    static let verbs = configuration.subcommands.compactMap { $0.configuration.commandName }

    static func main() {
        do throws(Failure) {
            if let helper = try MountHelper.reading(CommandLine.arguments) { Glibc.exit(helper.run()) }
        } catch {
            MountHelper.end(error)
        }
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let failure as Failure {
            end([failure.description], failure.status.rawValue)
        } catch let error as ConfigurationError {
            end(error.faults.map(\.description), error.status.rawValue)
        } catch let error as ControlError {
            end([error.description], ExitStatus.notMounted.rawValue)
        } catch let code as ExitCode {
            Glibc.exit(code.rawValue)
        } catch {
            let code = exitCode(for: error)
            // Help and the version are errors to the parser, but not to anybody else.
            guard code != .success else { exit(withError: error) }
            let text = message(for: error).split(whereSeparator: \.isNewline).first.map(String.init)
            end([text ?? "bad usage: see 'dmemfs help'"], code.rawValue)
        }
    }

    private static func end(_ lines: [String], _ code: Int32) -> Never {
        for line in lines { Files.complain("dmemfs: \(line)") }
        Glibc.exit(code)
    }
}

/// Prints to the standard output; who closed it does not want to know.
func printOut(_ bytes: [UInt8]) {
    do throws(Errno) {
        try Files.write(bytes, to: STDOUT_FILENO)
    } catch {
        return
    }
}

func warn(_ line: String) {
    Files.complain("dmemfs: warning: \(line)")
}

func printOut(_ line: String) {
    printOut(Array("\(line)\n".utf8))
}
