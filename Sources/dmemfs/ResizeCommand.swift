import ArgumentParser
import Basics
import Control
import Daemon

struct ResizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resize", abstract: "Change the limit of a mount while it is in use.",
        discussion: "For root and the mount's owner. Below what is in use it is refused, with the figures.")

    @Argument(help: "Where it is mounted.")
    var mountpoint: String

    @Argument(help: "The new limit: 512M, 2G, or a share of the memory such as 25%.")
    var size: String

    @Option(help: "The most files, directories and other nodes: 1000, 64k, 1m. (default: as it is)")
    var maxNodes: String?

    @Flag(help: "Set the limit although more is in use; nothing may grow until use has fallen below it.")
    var drain = false

    func run() throws {
        try check()
        let mount = try Lookup.mount(mountpoint)
        let request = LimitsRequest(size: size, maxNodes: maxNodes, drain: drain)
        let answer = try granted(try Client.setLimits(request, of: mount))
        let used = "\(ByteCount(answer.usedBytes)) (\(answer.usedBytes) bytes) in use"
        printOut(
            "\(mount.mountpoint): limit \(ByteCount(answer.limitBytes)) (\(answer.limitBytes) bytes), "
                + "\(answer.nodes), \(used)")
        if let warning = answer.warning { warn(warning) }
    }

    /// Bad words need no daemon to tell.
    private func check() throws(Failure) {
        do throws(QuantityError) {
            _ = try SizeArgument(parsing: size)
        } catch {
            throw Failure(.usage, "SIZE: \(error)")
        }
        guard let maxNodes else { return }
        do throws(QuantityError) {
            _ = try CountArgument.parse(maxNodes)
        } catch {
            throw Failure(.usage, "--max-nodes: \(error)")
        }
    }
}

/// What the daemon has answered. Throws its no.
func granted<Answer>(_ outcome: Result<Answer, ControlRefusal>) throws(Failure) -> Answer {
    switch outcome {
    case .success(let answer): return answer
    case .failure(let refusal):
        throw Failure(refusal.cause == .malformed ? .usage : .refused, refusal.description)
    }
}

extension LimitsAnswer {
    /// The node limit in words.
    var nodes: String { maxNodes.value.map { "\($0) nodes" } ?? "no node limit" }
}
