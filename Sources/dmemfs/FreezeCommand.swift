import ArgumentParser
import Basics
import Control
import Daemon

struct FreezeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze", abstract: "Hold back all changes of a mount, for a copy of one moment.",
        usage: "dmemfs freeze <mountpoint> [--timeout <time>] [--wait | -- <command> ...]",
        discussion: """
            Whoever wants to change something waits until the mount is thawed, and then goes on; nothing \
            fails. A command finds the mountpoint read-only and as it was at one moment, as in 'dmemfs \
            freeze /mnt -- tar -C /mnt -cf /backup.tar .'; when it ends the mount is thawed, and its exit \
            status is returned. Without a command others may read, but who reads a directory or a file that \
            somebody waits to change may have to wait, too. For root and the mount's owner.
            """)

    @Argument(help: "Where it is mounted.")
    var mountpoint: String

    @Option(help: "Thaw after this time at the latest: 90s, 5m, an hour at the most. (default: 60s)")
    var timeout: String?

    @Flag(help: "Stay until it is thawed; when this process ends, it is.")
    var wait = false

    @Argument(parsing: .postTerminator, help: "The program to run meanwhile, and its arguments.")
    var command: [String] = []

    func run() throws {
        if wait, !command.isEmpty {
            throw Failure(.usage, "--wait: a command is waited for anyhow: leave it out")
        }
        let mount = try Lookup.mount(mountpoint)
        if !command.isEmpty { try run(on: mount) }
        let request = FreezeRequest(timeout: timeout, hold: wait, view: false)
        let (status, held) = try granted(try Client.freeze(request, mount))
        printOut("\(mount.mountpoint): \(status.summary)")
        guard wait else { return }
        let end = try held.awaitEnd()
        guard let end else { throw Failure(.refused, "\(mount.mountpoint): the daemon has ended") }
        guard end.cause == .thawed else {
            throw Failure(.refused, "\(mount.mountpoint) was thawed: \(end.reason)")
        }
    }

    /// Ends this process with the command's code; with 1 where the command did not notice that the freeze
    /// ended before it.
    private func run(on mount: MountEntry) throws -> Never {
        let (code, end) = try FrozenRun.run(command, on: mount, timeout: timeout)
        guard end?.cause == .released else {
            let reason = end?.reason ?? "the daemon has ended"
            Files.complain(
                "dmemfs: \(mount.mountpoint) was thawed before the command had ended: \(reason); "
                    + "a copy is not complete")
            throw ExitCode(code == 0 ? ExitStatus.refused.rawValue : code)
        }
        throw ExitCode(code)
    }
}
