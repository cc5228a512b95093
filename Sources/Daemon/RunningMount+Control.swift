import Accounting
import Basics
import Control
import Glibc
import Logging
import Storage
import Synchronization
import Serving
import Tree

/// What a mount tells of itself, and lets be changed while it is in use.
extension RunningMount {
    func openControl() {
        guard let deviceMinor else {
            log.warning("no control socket: this kernel does not tell which mount \(path) is")
            return
        }
        let folder = SocketPath.ownFolder()
        let socket = SocketPath.path(in: folder, deviceMinor: deviceMinor)
        do throws(Errno) {
            let server = try Server(at: socket, and: network, answering: endpoints)
            self.server.withLock { $0 = server }
            if let network {
                let page = configuration.showsPage ? ", the page at http://\(network.address)/" : ""
                log.notice("\(path): metrics at http://\(network.address)/metrics\(page)")
            }
        } catch {
            log.warning("no control socket at \(socket), so that 'dmemfs status' does not work: \(error)")
        }
    }

    /// What this mount answers. A part of the program that answers more adds its endpoints here.
    private var endpoints: [Endpoint] {
        [
            .status { [self] in status },
            .limits { [self] (request) throws(ControlRefusal) in try resize(request) },
            .reload { [self] () throws(ControlRefusal) in try reload() },
            .nodes(NodeControl(tree: tree)), .refusals(RefusalControl(watch: refusalWatch, tree: tree)),
        ] + Endpoint.quotas(QuotaControl(mountpoint: path, tree: tree)) + Endpoint.metrics(self)
            + Endpoint.freezes(freezer)
    }

    func closeControl() {
        server.withLock { $0 }?.stop()
    }

    var status: Status {
        tree.lookAtMemory()
        let usage = tree.usage
        let memoryGuard = guardWatch.memoryGuard
        let refusals = Status.Refusals(
            bytes: usage.refusals.bytes, nodes: usage.refusals.nodes, directory: usage.refusals.directory,
            user: usage.refusals.user, memoryGuard: usage.refusals.guardRefusals,
            storage: usage.refusals.storage,
            writeback: usage.refusals.writeback)
        return Status(
            mountpoint: path, version: Version.current, pid: Int(getpid()),
            engine: configuration.engine.rawValue, storage: configuration.storageName,
            transport: configuration.usesIOUring ? "io_uring" : "device", limitBytes: usage.limitBytes,
            usedBytes: usage.usedBytes,
            dataBytes: usage.dataBytes, metadataBytes: usage.metadataBytes, peakBytes: usage.peakBytes,
            reservedBytes: usage.reservedBytes, openUnlinkedBytes: usage.openUnlinkedBytes,
            maxNodes: usage.maxNodes, nodes: usage.nodes, peakNodes: usage.peakNodes,
            residentBytes: Self.residentBytes() + (tmpfs?.usedBytes ?? 0),
            uptimeSeconds: (Files.monotonicMilliseconds() - startedMilliseconds) / 1000, refusals: refusals,
            memoryGuard: Status.Guard(
                mode: memoryGuard.policy.mode.rawValue, action: memoryGuard.policy.action.rawValue,
                availableBytes: memoryGuard.availableBytes, tripped: memoryGuard.isTripped),
            frozen: freezer.status)
    }

    private static func residentBytes() -> Int {
        do throws(Errno) {
            let fields = try Files.text(of: "/proc/self/statm").split(separator: " ")
            return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(getpagesize()) : 0
        } catch {
            return 0
        }
    }

    // MARK: Changes

    private func resize(_ request: LimitsRequest) throws(ControlRefusal) -> LimitsAnswer {
        let resizing = Resizing(
            mountpoint: path, tree: tree, policy: configuration.memoryGuard, memory: memory)
        let answer = try resizing.apply(request)
        let nodes = answer.maxNodes.value.map { "\($0) nodes" } ?? "no node limit"
        log.log(
            .notice, .resized, "\(path): the limit is \(ByteCount(answer.limitBytes)), \(nodes)",
            [
                "limit": "\(answer.limitBytes)", "used": "\(answer.usedBytes)",
                "max_nodes": "\(answer.maxNodes.value ?? 0)",
            ])
        return answer
    }

    /// Reads the configuration file anew and applies what can be changed; all or nothing.
    private func reload() throws(ControlRefusal) -> LimitsAnswer {
        guard let file = configuration.request.file else {
            throw ControlRefusal(
                .refused, "\(path) was mounted without --config: there is nothing to read anew")
        }
        readiness.reloading()
        defer { readiness.reloaded() }
        let fresh: Configuration
        do throws(ConfigurationError) {
            fresh = try Configuration(validating: configuration.request, asUser: geteuid(), group: getegid())
        } catch {
            let faults = error.faults.map(\.description).joined(separator: "; ")
            throw ControlRefusal(.malformed, "nothing is changed: \(faults)")
        }
        let usage = tree.usage
        let nodes = fresh.namesNodes ? fresh.limits.nodes : nil
        var wanted = LimitsRequest(size: nil, maxNodes: nil, drain: false)
        // What nobody names stays, too, as it was resized by hand.
        if fresh.namesBytes, fresh.limits.bytes != usage.limitBytes { wanted.size = "\(fresh.limits.bytes)" }
        if let nodes, nodes != usage.maxNodes { wanted.maxNodes = "\(nodes)" }
        let kept = fresh.fixedWords(unlike: configuration)
        if !kept.isEmpty {
            log.warning("\(kept.joined(separator: ", ")): only a new mount changes that")
        }
        log.log(.notice, .reloaded, "\(path): read \(file.path) anew")
        guard wanted.size != nil || wanted.maxNodes != nil else {
            return LimitsAnswer(
                limitBytes: usage.limitBytes, usedBytes: usage.usedBytes, maxNodes: usage.maxNodes,
                nodes: usage.nodes, warning: nil)
        }
        return try resize(wanted)
    }

    /// For a signal, which cannot be answered.
    func reloadUnasked() {
        do throws(ControlRefusal) {
            _ = try reload()
        } catch {
            log.warning("cannot reload: \(error)")
        }
    }

    /// Logs the figures of `dmemfs status`.
    func logSnapshot() {
        let status = status
        let nodes = status.maxNodes.value.map { "\(status.nodes) of \($0) nodes" } ?? "\(status.nodes) nodes"
        let refusals = status.refusals
        log.log(
            .notice, .snapshot,
            """
            \(path): \(ByteCount(status.usedBytes)) of \(ByteCount(status.limitBytes)) used, \
            peak \(ByteCount(status.peakBytes)), \(nodes), resident \(ByteCount(status.residentBytes)); \
            refused for bytes \(refusals.bytes), nodes \(refusals.nodes), guard \(refusals.memoryGuard), \
            directory \(refusals.directory), user \(refusals.user), storage \(refusals.storage), \
            writeback \(refusals.writeback)
            """,
            [
                "used": "\(status.usedBytes)", "limit": "\(status.limitBytes)", "peak": "\(status.peakBytes)",
                "nodes": "\(status.nodes)", "resident": "\(status.residentBytes)",
            ])
    }
}
