import Basics

/// The xattrs through which a directory's quota can be read, and set by uid 0: `user.dmemfs.quota.…` and
/// `trusted.dmemfs.quota.…`.
///
/// They are made up from the level and kept nowhere. None is listed, so that cp -a and rsync -X do not carry
/// them. For `trusted.` the kernel demands CAP_SYS_ADMIN of the initial user namespace.
enum QuotaAttribute: String, CaseIterable {
    case maxBytes = "max_bytes"
    case maxNodes = "max_nodes"
    case usedBytes = "used_bytes"
    case usedNodes = "used_nodes"

    /// Whether the name is in the part that is ours, whatever it is.
    static func isReserved(_ name: RawSpan) -> Bool {
        name.hasPrefix("user.dmemfs.") || name.hasPrefix("trusted.dmemfs.")
    }

    init?(_ name: RawSpan) {
        let bytes = name.bytes
        let found = QuotaAttribute.allCases.first { attribute in
            ["user", "trusted"].contains { bytes == Array("\($0).dmemfs.quota.\(attribute.rawValue)".utf8) }
        }
        guard let found else { return nil }
        self = found
    }

    /// nil where there is no such limit.
    func value(of state: QuotaState) -> Int? {
        switch self {
        case .maxBytes: state.maxBytes
        case .maxNodes: state.maxNodes
        case .usedBytes: state.usedBytes
        case .usedNodes: state.usedNodes
        }
    }
}

extension Tree {
    /// Lends the value in decimal digits. Throws `.noData` where the node has no such limit, or no quota.
    func quotaAttribute(_ name: RawSpan, of node: NodeID, _ body: (RawSpan) -> Void) throws(Errno) {
        guard let attribute = QuotaAttribute(name), let state = quota(of: node),
            let value = attribute.value(of: state)
        else { throw .noData }
        Array("\(value)".utf8).withRawSpan { body($0) }
    }

    /// Sets a limit from decimal digits, or with nil takes it away; where none is left the quota goes too.
    ///
    /// Throws `.notPermitted` for `user.` and for what cannot be set, `.invalidArgument` for what is no
    /// positive number, `.diskQuotaExceeded` for a limit below use, `.deviceOrResourceBusy` while another
    /// quota is being set.
    func setQuotaAttribute(_ name: RawSpan, of node: NodeID, to value: RawSpan?) throws(Errno) {
        guard name.hasPrefix("trusted."), let attribute = QuotaAttribute(name) else { throw .notPermitted }
        var limit = QuotaRequest.Limit.none
        if let value {
            guard let number = Tree.number(value) else { throw .invalidArgument }
            limit = .to(number)
        }
        var request = QuotaRequest()
        switch attribute {
        case .maxBytes: request.bytes = limit
        case .maxNodes: request.nodes = limit
        case .usedBytes, .usedNodes: throw .notPermitted
        }
        do throws(QuotaRefusal) {
            if value == nil, quota(of: node) == nil { throw .none }
            let state = try setQuota(of: node, to: request)
            if value == nil, state.maxBytes == nil, state.maxNodes == nil { try removeQuota(of: node) }
        } catch {
            throw Tree.errno(of: error)
        }
    }

    private static func number(_ digits: RawSpan) -> Int? {
        guard digits.byteCount < 20, let number = Int(String(decoding: digits.bytes, as: UTF8.self)),
            number > 0
        else { return nil }
        return number
    }

    private static func errno(of refusal: QuotaRefusal) -> Errno {
        switch refusal {
        case .busy: .resourceBusy
        case .engine, .setAsideEngine: .notSupportedOnSocket
        case .isRoot, .setAsideNeedsLimit, .notSetAside, .nothingAsked: .invalidArgument
        case .notDirectory: .notDirectory
        case .none: .noData
        case .gone: .noSuchFileOrDirectory
        case .bytesBelowUse, .nodesBelowUse: .diskQuotaExceeded
        case .noRoom: .noSpace
        case .tooDeep: .tooManyLinks
        case .linkOutside: .improperLink
        }
    }
}
