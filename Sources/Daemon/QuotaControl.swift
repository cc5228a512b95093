import Accounting
import Basics
import Control
import Tree

/// Answers `/v1/quotas` and `/v1/users` for one mount: finds the directory in the tree, and never touches the
/// mount itself.
struct QuotaControl: QuotaKeeper {
    let mountpoint: String
    let tree: Tree

    func list() -> QuotaList {
        QuotaList(
            quotas: tree.quotas().map { QuotaStatus(MountPath(names: $0.path), $0.state) },
            users: tree.userQuotas().map { UserQuotaStatus($0.user, $0.state) })
    }

    func quota(of directory: MountPath, for peer: Peer) throws(ControlRefusal) -> QuotaStatus {
        let node = try find(directory, for: peer)
        guard let state = tree.quota(of: node) else {
            throw ControlRefusal(.refused, reason(.none, of: directory))
        }
        return QuotaStatus(directory, state)
    }

    func set(_ request: QuotaChangeRequest, on directory: MountPath) throws(ControlRefusal) -> QuotaStatus {
        let change = try change(of: request)
        let node = try find(directory)
        do throws(QuotaRefusal) {
            return QuotaStatus(directory, try tree.setQuota(of: node, to: change))
        } catch {
            throw ControlRefusal(.refused, "no change: \(reason(error, of: directory, change))")
        }
    }

    func remove(from directory: MountPath) throws(ControlRefusal) -> QuotaStatus {
        let node = try find(directory)
        do throws(QuotaRefusal) {
            let state = tree.quota(of: node)
            try tree.removeQuota(of: node)
            guard let state else { throw .none }
            return QuotaStatus(directory, state)
        } catch {
            throw ControlRefusal(.refused, reason(error, of: directory))
        }
    }

    func change(of request: QuotaChangeRequest) throws(ControlRefusal) -> QuotaRequest {
        var change = QuotaRequest()
        if let size = request.size { change.bytes = try bytes(size) }
        if let maxNodes = request.maxNodes { change.nodes = try nodes(maxNodes) }
        change.setsAside = request.reserve ?? false
        change.drains = request.drain ?? false
        return change
    }

    private func find(_ directory: MountPath, for peer: Peer? = nil) throws(ControlRefusal) -> NodeID {
        do throws(Errno) {
            let user = peer.flatMap { $0.isTrusted ? nil : $0.user }
            return try tree.directory(at: directory.names, searchedBy: user)
        } catch {
            let cause: ControlRefusal.Cause = error == .permissionDenied ? .denied : .refused
            throw ControlRefusal(
                cause, "cannot find \(place(directory)): \(Wording.of(error)); links are not followed")
        }
    }

    private func bytes(_ text: String) throws(ControlRefusal) -> QuotaRequest.Limit {
        if text == "none" { return .none }
        do throws(QuantityError) {
            switch try SizeArgument(parsing: text) {
            case .bytes(let count): return .to(count.bytes)
            case .percent(let thousandths):
                let share = tree.usage.limitBytes.multipliedFullWidth(by: thousandths)
                return .to(max(4096, 100_000.dividingFullWidth(share).quotient & ~4095))
            }
        } catch {
            throw ControlRefusal(.malformed, "size: \(error)")
        }
    }

    private func nodes(_ text: String) throws(ControlRefusal) -> QuotaRequest.Limit {
        if text == "none" { return .none }
        do throws(QuantityError) {
            return .to(try CountArgument.parse(text))
        } catch {
            throw ControlRefusal(.malformed, "max_nodes: \(error)")
        }
    }

    private func place(_ directory: MountPath) -> String {
        directory.names.isEmpty ? mountpoint : "\(mountpoint)/\(directory.text)"
    }

    private func reason(
        _ refusal: QuotaRefusal, of directory: MountPath, _ request: QuotaRequest = QuotaRequest()
    ) -> String {
        reason(refusal, of: place(directory), request)
    }

    /// - Parameter place: whose quota it is, as a sentence begins with it.
    func reason(_ refusal: QuotaRefusal, of place: String, _ request: QuotaRequest) -> String {
        var wanted = ""
        if case .to(let bytes) = request.bytes { wanted = " \(Self.figure(bytes))" }
        switch refusal {
        case .engine:
            return "quotas of directories need an engine that asks for each write: mount \(mountpoint) with "
                + "'--io memory' or '--io strict'"
        case .setAsideEngine:
            return "--reserve needs the engine memory: mappings of other files could take what is set aside"
        case .busy: return "another quota of \(mountpoint) is being changed: try again"
        case .isRoot: return "\(place) is the mount itself: use 'dmemfs resize'"
        case .notDirectory: return "\(place) is not a directory"
        case .none: return "\(place) has no quota: 'dmemfs quota set' gives it one"
        case .gone: return "\(place) is gone"
        case .nothingAsked: return "name a limit with --size or --max-nodes"
        case .bytesBelowUse(let used):
            return "\(place) holds \(Self.figure(used)), more than\(wanted): delete some, or use --drain"
        case .nodesBelowUse(let used):
            return "\(place) holds \(used) nodes, more than are to be allowed: delete some, or use --drain"
        case .noRoom(let free):
            return "\(place) cannot have\(wanted) set aside: what is above it has \(Self.figure(free)) free"
        case .setAsideNeedsLimit: return "--reserve needs --size, and goes with neither 'none' nor --drain"
        case .notSetAside:
            return "the quota of \(place) was set without --reserve: remove it first, then set it anew"
        case .tooDeep(let limit): return "quotas can be \(limit - 1) deep within one another"
        case .linkOutside(let parent, let name):
            let path = tree.path(of: parent).map { MountPath(names: $0 + [name]) } ?? MountPath(names: [name])
            return
                "\(self.place(path)) outside of \(place) is another name of a file in it: remove one of them"
        }
    }

    static func figure(_ bytes: Int) -> String {
        "\(ByteCount(bytes)) (\(bytes) bytes)"
    }
}

extension QuotaStatus {
    init(_ directory: MountPath, _ state: QuotaState) {
        self.init(
            directory: directory.text, maxBytes: state.maxBytes, maxNodes: state.maxNodes,
            usedBytes: state.usedBytes, usedNodes: state.usedNodes, reserved: state.isSetAside)
    }
}
