import Basics
import CFuseShim
import Glibc

/// How long the kernel may keep names, attributes and the absence of names: in effect for ever, since nothing
/// changes behind its back.
let cacheSeconds = 86400.0

extension stat {
    init(_ attributes: Attributes) {
        self.init()
        st_ino = .init(truncatingIfNeeded: attributes.number)
        st_mode = attributes.mode
        st_nlink = .init(truncatingIfNeeded: attributes.links)
        st_uid = attributes.owner
        st_gid = attributes.group
        st_rdev = .init(truncatingIfNeeded: attributes.device)
        st_size = .init(truncatingIfNeeded: attributes.size)
        st_blksize = 4096
        st_blocks = .init(truncatingIfNeeded: attributes.blocks)
        st_atim = timespec(attributes.accessed)
        st_mtim = timespec(attributes.modified)
        st_ctim = timespec(attributes.changed)
    }
}

extension Attributes {
    /// How long the kernel may keep them.
    var cacheSeconds: Double { mayChange ? 0 : Fuse.cacheSeconds }
}

extension timespec {
    init(_ moment: Timestamp) {
        self.init(tv_sec: Int(moment.seconds), tv_nsec: Int(moment.nanoseconds))
    }
}

extension Timestamp {
    init(_ moment: timespec) throws(Errno) {
        guard (0..<1_000_000_000).contains(moment.tv_nsec) else { throw .invalidArgument }
        self.init(seconds: Int64(moment.tv_sec), nanoseconds: UInt32(moment.tv_nsec))
    }
}

/// An ID alone tells a node from all others of this mount; this tells it from those of an earlier one, to
/// which a file handle or an NFS client may still hold on.
private let mountGeneration = UInt64(UInt32.random(in: 1...UInt32.max))

extension fuse_entry_param {
    init(_ entry: Entry) {
        self.init()
        ino = entry.node.rawValue
        // The kernel has made the root itself, with generation 0.
        generation = entry.node == .root ? 0 : mountGeneration
        attr = stat(entry.attributes)
        attr_timeout = entry.attributes.cacheSeconds
        entry_timeout = cacheSeconds
    }
}

extension shim_opening {
    init(_ opening: Opening) {
        // The kernel wants no word about its cache where a file goes past it.
        let keepsCache: UInt32 = opening.backing > 0 ? 0 : 2
        self.init(
            flags: opening.bypassesCache ? 1 : keepsCache, backing: opening.backing,
            handle: UInt64(opening.backing > 0 ? 1 : 0))
    }
}

extension OpenMode {
    /// - Parameter flags: those of open(2).
    init(flags: Int32) {
        self = flags & O_ACCMODE == O_RDONLY ? .reading : .writing
    }
}

extension Caller {
    init(of request: fuse_req_t) {
        let caller = unsafe shim_caller_of(request)
        self.init(
            user: caller.user, group: caller.group, process: caller.process, umask: caller.umask & 0o777)
    }
}

extension Attempt {
    /// - Parameter name: ends with a NUL, as the kernel sends it.
    @unsafe init(_ operation: Operation, in parent: UInt64, _ name: UnsafePointer<CChar>) {
        let bytes = unsafe UnsafeRawBufferPointer(start: name, count: strnlen(name, 256))
        self.init(operation, NodeID(rawValue: parent), name: unsafe Array(bytes))
    }
}

extension AttributeChanges {
    /// What a setattr request asks for. Throws `.invalidArgument` for values no file can have.
    init(_ wanted: stat, fields: Int32, dropsPrivileges: Bool) throws(Errno) {
        self.init()
        self.dropsPrivileges = dropsPrivileges
        func has(_ bit: Int32) -> Bool { fields & bit != 0 }
        if has(FUSE_SET_ATTR_MODE) { mode = wanted.st_mode & 0o7777 }
        if has(FUSE_SET_ATTR_UID) { owner = wanted.st_uid }
        if has(FUSE_SET_ATTR_GID) { group = wanted.st_gid }
        if has(FUSE_SET_ATTR_SIZE) {
            guard wanted.st_size >= 0 else { throw .invalidArgument }
            size = Int64(wanted.st_size)
        }
        if has(FUSE_SET_ATTR_ATIME_NOW) {
            accessed = .now
        } else if has(FUSE_SET_ATTR_ATIME) {
            accessed = .at(try Timestamp(wanted.st_atim))
        }
        if has(FUSE_SET_ATTR_MTIME_NOW) {
            modified = .now
        } else if has(FUSE_SET_ATTR_MTIME) {
            modified = .at(try Timestamp(wanted.st_mtim))
        }
        if has(FUSE_SET_ATTR_CTIME) { changed = .at(try Timestamp(wanted.st_ctim)) }
    }
}
