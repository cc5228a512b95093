import Accounting
import Basics
import Storage

/// The two ACLs that a node may have, each under the name of an xattr.
enum ACLName: String {
    /// Who may do what with the node.
    case access = "system.posix_acl_access"
    /// Of a directory: what is made in it inherits this.
    case inherited = "system.posix_acl_default"

    init?(_ name: RawSpan) {
        if name.hasPrefix("system.posix_acl_access"), name.byteCount == Self.access.rawValue.utf8.count {
            self = .access
        } else if name.hasPrefix("system.posix_acl_default"),
            name.byteCount == Self.inherited.rawValue.utf8.count
        {
            self = .inherited
        } else {
            return nil
        }
    }
}

/// POSIX ACLs. The kernel heeds them; to keep them together with the mode, and to hand them down, is left to
/// the filesystem.
extension Tree {
    /// Throws `.invalidArgument` for what is no ACL, `.permissionDenied` for one to be inherited from what is
    /// no directory, and as `setExtendedAttribute` does.
    func setACL(
        _ name: ACLName, of node: NodeID, to value: RawSpan, _ setting: AttributeSetting
    ) throws(Errno) {
        let list = try AccessControlList(value)
        let now = configuration.clock.now()
        try change(node) { (state) throws(Errno) in
            guard state.kind != .symlink else { throw .notSupportedOnSocket }
            switch name {
            case .inherited:
                guard state.kind == .directory else { throw .permissionDenied }
                try state.store(list, as: name, setting, in: memory)
            case .access:
                if list.saysMoreThanMode {
                    try state.store(list, as: name, setting, in: memory)
                } else {
                    state.removeACL(name, in: memory)
                }
                state.mode = state.mode & ~0o777 | list.mode
                if setting.contains(.droppingSetgid) { state.mode &= ~0o2000 }
            }
            state.changed = Timestamp32(now)
        }
    }

    /// What a node that is about to be made takes from its directory.
    struct Inheritance {
        /// Type and permission bits.
        var mode: UInt32
        /// The node's own ACL, where its mode does not say it all.
        var access: AccessControlList?
        /// What a directory hands on.
        var inherited: AccessControlList?
    }

    /// A directory's default ACL and the mode asked for limit each other; where there is none, the umask
    /// limits the mode. Symlinks have neither.
    func inheritance(of new: NewNode, in directory: NodeID) throws(Errno) -> Inheritance {
        let kind = FileKind(mode: new.mode)
        if kind == .symlink { return Inheritance(mode: new.mode) }
        var list: AccessControlList?
        if configuration.usesACL {
            list = try table.withState(directory) { (state) throws(Errno) in
                state.list(.inherited, in: memory)
            }
        }
        guard var access = list else { return Inheritance(mode: new.mode & ~new.caller.umask) }
        access.restrict(to: new.mode)
        return Inheritance(
            mode: new.mode & ~0o777 | access.mode, access: access.saysMoreThanMode ? access : nil,
            inherited: kind == .directory ? list : nil)
    }
}

extension Inode.State {
    /// One of the node's ACLs; nil where there is none.
    func list(_ name: ACLName, in memory: Memory) -> AccessControlList? {
        if extendedAttributes.isEmpty { return nil }
        var found: AccessControlList?
        Array(name.rawValue.utf8).withRawSpan { name in
            _ = extendedAttributes.withValue(of: name, in: memory) { value in
                do {
                    found = try AccessControlList(value)
                } catch {
                    preconditionFailure("an ACL that was good when it was set is none")
                }
            }
        }
        return found
    }

    mutating func store(
        _ list: AccessControlList, as name: ACLName, _ setting: AttributeSetting = [], in memory: Memory
    ) throws(Errno) {
        try Array(name.rawValue.utf8).withRawSpan { (name) throws(Errno) in
            try list.bytes.withRawSpan { (value) throws(Errno) in
                try extendedAttributes.set(name, to: value, setting, in: memory, charge: &charge)
            }
        }
    }

    mutating func removeACL(_ name: ACLName, in memory: Memory) {
        do {
            try Array(name.rawValue.utf8).withRawSpan { (name) throws(Errno) in
                try extendedAttributes.remove(name, in: memory, charge: &charge)
            }
        } catch {
            // Not there is as good as removed.
        }
    }

    /// The mode has changed, and the ACL follows it: in place, so that nothing can be refused.
    mutating func bringACLInLine(in memory: Memory) {
        guard var list = list(.access, in: memory) else { return }
        list.take(mode: mode)
        Array(ACLName.access.rawValue.utf8).withRawSpan { name in
            list.bytes.withRawSpan { value in
                extendedAttributes.overwrite(name, with: value, in: memory)
            }
        }
    }
}
