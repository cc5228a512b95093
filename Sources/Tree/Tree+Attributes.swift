public import Basics
import Storage

/// Extended attributes: `user.`, `security.` and `trusted.`, which only uid 0 sees; and the ACLs, where the
/// mount has them.
extension Tree {
    private enum Space {
        case open
        case trusted
        case acl(ACLName)

        var isTrusted: Bool {
            if case .trusted = self { true } else { false }
        }
    }

    private static let valueBytesLimit = 64 << 10
    /// The longest list of names that the kernel takes.
    private static let listBytesLimit = 64 << 10

    /// The namespace of a name.
    ///
    /// Throws `.notSupportedOnSocket` (EOPNOTSUPP) for namespaces that are not kept, `.invalidArgument` where
    /// nothing follows the prefix.
    private func space(of name: RawSpan) throws(Errno) -> Space {
        if configuration.usesACL, let acl = ACLName(name) { return .acl(acl) }
        let space: Space
        let prefixBytes: Int
        if name.hasPrefix("user.") {
            (space, prefixBytes) = (.open, 5)
        } else if name.hasPrefix("security.") {
            (space, prefixBytes) = (.open, 9)
        } else if name.hasPrefix("trusted.") {
            (space, prefixBytes) = (.trusted, 8)
        } else {
            throw .notSupportedOnSocket
        }
        guard name.byteCount > prefixBytes else { throw .invalidArgument }
        guard name.byteCount <= 255 else { throw .outOfRange }
        return space
    }

    public func setExtendedAttribute(
        _ name: RawSpan, of node: NodeID, to value: RawSpan, _ setting: AttributeSetting, by caller: Caller
    ) throws(Errno) {
        let space = try space(of: name)
        if space.isTrusted, !caller.mayBeRoot { throw .notPermitted }
        guard value.byteCount <= Tree.valueBytesLimit else { throw .argListTooLong }
        guard !setting.isSuperset(of: [.create, .replace]) else { throw .invalidArgument }
        if case .acl(let acl) = space { return try setACL(acl, of: node, to: value, setting) }
        let now = configuration.clock.now()
        try change(node) { (state) throws(Errno) in
            try state.extendedAttributes.set(name, to: value, setting, in: memory, charge: &state.charge)
            state.changed = Timestamp32(now)
        }
    }

    /// Lends the value to `body`. Throws `.noData` (ENODATA) where there is none, or the caller may not see
    /// it.
    public func extendedAttribute(
        _ name: RawSpan, of node: NodeID, by caller: Caller, _ body: (RawSpan) -> Void
    ) throws(Errno) {
        if try space(of: name).isTrusted, !caller.mayBeRoot { throw .noData }
        try table.withState(node) { (state) throws(Errno) in
            guard state.extendedAttributes.withValue(of: name, in: memory, body) else { throw .noData }
        }
    }

    /// Lends the names, each followed by a NUL, to `body`.
    ///
    /// Throws `.argListTooLong` (E2BIG) where they are more than listxattr(2) can return: a node may have as
    /// many as there is room for, and an answer must not.
    public func extendedAttributeNames(
        of node: NodeID, by caller: Caller, _ body: (RawSpan) -> Void
    ) throws(Errno) {
        var list: [UInt8] = []
        var trusted: [UInt8] = []
        func append(_ name: RawSpan, to list: inout [UInt8]) {
            guard list.count <= Tree.listBytesLimit else { return }
            for offset in 0..<name.byteCount { list.append(name.byte(at: offset)) }
            list.append(0)
        }
        try table.withState(node) { (state) throws(Errno) in
            state.extendedAttributes.forEachName(in: memory) { name in
                if name.hasPrefix("trusted.") {
                    append(name, to: &trusted)
                } else {
                    append(name, to: &list)
                }
            }
        }
        // Asked for last, as it can take long. Unlike the values, the names the kernel does not guard.
        if !trusted.isEmpty, caller.isRoot { list += trusted }
        guard list.count <= Tree.listBytesLimit else { throw .argListTooLong }
        list.withRawSpan { body($0) }
    }

    public func removeExtendedAttribute(_ name: RawSpan, of node: NodeID, by caller: Caller) throws(Errno) {
        if try space(of: name).isTrusted, !caller.mayBeRoot { throw .notPermitted }
        let now = configuration.clock.now()
        try change(node) { (state) throws(Errno) in
            try state.extendedAttributes.remove(name, in: memory, charge: &state.charge)
            state.changed = Timestamp32(now)
        }
    }
}
