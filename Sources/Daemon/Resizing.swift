import Accounting
import Basics
import Control
import Tree

/// Changes the limits of a living mount, as `PUT /v1/limits` asks.
struct Resizing {
    let mountpoint: String
    let tree: Tree
    let policy: MemoryGuard.Policy
    let memory: AvailableMemory

    func apply(_ request: LimitsRequest) throws(ControlRefusal) -> LimitsAnswer {
        let bytes = try bytes(request.size)
        let nodes = try nodes(request.maxNodes)
        guard bytes != nil || nodes != nil else {
            throw ControlRefusal(.malformed, "nothing to change: name a size or a number of nodes")
        }
        let before = tree.usage
        do throws(Tree.ResizeRefusal) {
            try tree.setLimits(bytes: bytes, nodes: nodes, draining: request.drain ?? false)
        } catch {
            throw ControlRefusal(.refused, "cannot resize \(mountpoint) \(reason(error, bytes, nodes))")
        }
        let after = tree.usage
        let check = MemoryCheck(policy: policy, reading: memory.reading())
        let shortage =
            after.limitBytes > before.limitBytes
            ? check.shortage(growingTo: after.limitBytes, usedBytes: after.usedBytes) : nil
        return LimitsAnswer(
            limitBytes: after.limitBytes, usedBytes: after.usedBytes, maxNodes: after.maxNodes,
            nodes: after.nodes, warning: shortage)
    }

    private func bytes(_ text: String?) throws(ControlRefusal) -> Int? {
        guard let text else { return nil }
        let size: SizeArgument
        do throws(QuantityError) {
            size = try SizeArgument(parsing: text)
        } catch {
            throw ControlRefusal(.malformed, "size: \(error)")
        }
        do throws(Failure) {
            return try size.resolved { () throws(Errno) in try MachineMemory.available() }
        } catch {
            throw ControlRefusal(.malformed, "size: \(error)")
        }
    }

    private func nodes(_ text: String?) throws(ControlRefusal) -> Int? {
        guard let text else { return nil }
        do throws(QuantityError) {
            return try CountArgument.parse(text)
        } catch {
            throw ControlRefusal(.malformed, "max_nodes: \(error)")
        }
    }

    private func reason(_ refusal: Tree.ResizeRefusal, _ bytes: Int?, _ nodes: Int?) -> String {
        switch refusal {
        case .bytesBelowUse(let used):
            let wanted = bytes.map { "to \(ByteCount($0)) (\($0) bytes)" } ?? ""
            return "\(wanted): \(ByteCount(used)) (\(used) bytes) are in use: delete some, or use --drain"
        case .nodesBelowUse(let used):
            let wanted = nodes.map { "to \($0) nodes" } ?? ""
            return "\(wanted): \(used) nodes are in use: delete some, or use --drain"
        case .bytesBeyondAddresses(let largest):
            let wanted = bytes.map { "to \(ByteCount($0))" } ?? ""
            return "\(wanted): as it was mounted it can hold \(ByteCount(largest)) at the most: mount it anew"
        }
    }
}

extension SizeArgument {
    /// The size in bytes: whole pages where it is a share of `memory`.
    func resolved(_ memory: () throws(Errno) -> Int) throws(Failure) -> Int {
        switch self {
        case .bytes(let count): return count.bytes
        case .percent(let thousandths):
            let share: (high: Int, low: UInt)
            do throws(Errno) {
                share = try memory().multipliedFullWidth(by: thousandths)
            } catch {
                throw Failure(
                    .usage,
                    "cannot tell how much memory there is (\(error)): name the size in bytes, such as 64M")
            }
            let bytes = 100_000.dividingFullWidth(share).quotient & ~4095
            guard bytes > 0 else {
                throw Failure(
                    .usage, "the share of the memory is less than a page: name the size in bytes, such as 64M"
                )
            }
            return bytes
        }
    }
}
