import Accounting
import Basics
import Storage

/// One file of any kind. It lives in its slot of `InodeTable`, and is only ever lent.
struct Inode: ~Copyable {
    /// `st_ino`. Never changes; 0 in a slot that is free.
    let number: UInt64
    /// How many times the kernel holds this node's ID. Raised by every entry reply, lowered by forget.
    /// Guarded by the namespace's lock.
    var lookups: UInt64 = 0
    /// Rank 2. Guards `state`.
    let lock = LockWord()
    var state: State

    /// What the inode's lock guards. A directory's names are written under the namespace's lock and this one,
    /// and so may be read under either; the same holds for `links`.
    struct State: ~Copyable {
        /// Names that there are, for a directory 2 and one for each directory in it. 0: to be freed with the
        /// last lookup.
        var links: UInt32
        /// In bytes; for what is not a regular file or a symlink, 0.
        var size: Int64
        var body: Body
        /// Type and permission bits.
        var mode: UInt32
        var owner: UInt32
        var group: UInt32
        var accessed: Timestamp32
        var modified: Timestamp32
        var changed: Timestamp32
        var extendedAttributes = ExtendedAttributes()
        /// All that this inode keeps, its own slot included.
        var charge: Charge
    }

    /// The names in a directory, and the directory that it is in; the root is in itself.
    struct Directory: ~Copyable {
        var names = NameMap()
        var parent: NodeID
        /// The slot of the next in the row of directories that a quota is still to be counted in
        /// (`QuotaChange`); 0 for none. In four bytes, and the last: in more, or as an optional, it would
        /// make every inode larger.
        var nextIndex: UInt32 = 0
    }

    /// What differs by kind.
    enum Body: ~Copyable {
        case file(FileContents)
        case directory(Directory)
        case symlink(StoredBytes)
        case device(UInt32)
        case plain
    }
}

/// A `Timestamp` in twelve bytes: three of them in each of millions of inodes.
struct Timestamp32 {
    private var high: Int32
    private var low: UInt32
    private var nanoseconds: UInt32

    init(_ time: Timestamp) {
        high = Int32(truncatingIfNeeded: time.seconds >> 32)
        low = UInt32(truncatingIfNeeded: time.seconds)
        nanoseconds = time.nanoseconds
    }

    var time: Timestamp {
        Timestamp(seconds: Int64(high) << 32 | Int64(low), nanoseconds: nanoseconds)
    }
}

extension Inode.State {
    var kind: FileKind { FileKind(mode: mode) ?? .regular }

    /// Takes over what became of a file's bytes without a request.
    mutating func observe(in memory: Memory) {
        guard isSelfChanging else { return }
        var taken = Inode.Body.plain
        swap(&taken, &body)
        switch consume taken {
        case .file(var contents):
            let seen = contents.observe(in: memory, charge: &charge)
            body = .file(contents)
            guard let seen else { return }
            size = seen.size
            if let time = seen.modified { modified = Timestamp32(time) }
            if let time = seen.changed, time > changed.time { changed = Timestamp32(time) }
        case let other: body = other
        }
    }

    private var isSelfChanging: Bool {
        switch body {
        case .file(let contents): contents.isSelfChanging
        default: false
        }
    }

    mutating func attributes(number: UInt64, in memory: Memory) -> Attributes {
        let mayChange = observeMapped(in: memory)
        var device: UInt32 = 0
        var bytes = 0
        var size = size
        switch body {
        case .file(let contents): bytes = contents.dataBytes(in: memory)
        // As tmpfs: some bytes for each entry, so that a directory with names in it does not look empty.
        case .directory(let directory): size = (Int64(directory.names.count) + 2) * 20
        case .device(let number): device = number
        case .symlink: break
        case .plain: break
        }
        return Attributes(
            number: number, mode: mode, links: links, owner: owner, group: group, device: device, size: size,
            blocks: Int64((bytes + 511) / 512), accessed: accessed.time, modified: modified.time,
            changed: changed.time, mayChange: mayChange)
    }

    /// Observes, and says whether there may be something to observe again without a request.
    private mutating func observeMapped(in memory: Memory) -> Bool {
        guard isSelfChanging else { return false }
        var taken = Inode.Body.plain
        swap(&taken, &body)
        var mayChange = false
        switch consume taken {
        case .file(var contents):
            // First: what is done after the question is seen by the next look.
            mayChange = contents.mayChange(in: memory)
            body = .file(contents)
        case let other: body = other
        }
        observe(in: memory)
        return mayChange
    }

    /// The contents of a regular file with all that a change of them needs.
    ///
    /// Throws `.isDirectory` for a directory and `.invalidArgument` for every other kind.
    mutating func withContents<Result>(
        in memory: Memory, _ change: (inout FileContents, inout Charge, Int) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        guard kind == .regular else { throw kind == .directory ? .isDirectory : .invalidArgument }
        observe(in: memory)
        var taken = Inode.Body.plain
        swap(&taken, &body)
        switch consume taken {
        case .file(var contents):
            do throws(Errno) {
                let result = try change(&contents, &charge, Int(size))
                body = .file(contents)
                return result
            } catch {
                body = .file(contents)
                throw error
            }
        case let other:
            body = other
            throw .invalidArgument
        }
    }

    /// The names of a directory, to be changed. Throws `.notDirectory` for every other kind.
    mutating func withNames<Result>(
        _ change: (inout NameMap, inout Charge) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        guard kind == .directory else { throw .notDirectory }
        var taken = Inode.Body.plain
        swap(&taken, &body)
        switch consume taken {
        case .directory(var directory):
            do throws(Errno) {
                let result = try change(&directory.names, &charge)
                body = .directory(directory)
                return result
            } catch {
                body = .directory(directory)
                throw error
            }
        case let other:
            body = other
            throw .notDirectory
        }
    }

    /// The names of a directory, to be read. Throws `.notDirectory` for every other kind.
    func readNames<Result>(_ read: (borrowing NameMap) -> Result) throws(Errno) -> Result {
        switch body {
        case .directory(let directory): return read(directory.names)
        default: throw .notDirectory
        }
    }

    var parent: NodeID? {
        switch body {
        case .directory(let directory): return directory.parent
        default: return nil
        }
    }

    /// The slot of the next of the row that `Directory.nextIndex` links; 0 for none.
    var nextIndex: UInt32 {
        switch body {
        case .directory(let directory): return directory.nextIndex
        default: return 0
        }
    }

    mutating func setParent(_ parent: NodeID) {
        changeDirectory { $0.parent = parent }
    }

    mutating func setNext(_ next: NodeID?) {
        changeDirectory { $0.nextIndex = next?.index ?? 0 }
    }

    private mutating func changeDirectory(_ change: (inout Inode.Directory) -> Void) {
        var taken = Inode.Body.plain
        swap(&taken, &body)
        switch consume taken {
        case .directory(var directory):
            change(&directory)
            body = .directory(directory)
        case let other: body = other
        }
    }

    /// The contents or names changed: both times of change are `now`.
    mutating func touch(_ now: Timestamp) {
        modified = Timestamp32(now)
        changed = Timestamp32(now)
    }

    /// Clears what a write by a stranger clears: setuid, setgid of a group-executable file, and file
    /// capabilities.
    mutating func dropPrivileges(in memory: Memory) {
        if kind == .directory { return }
        mode &= ~0o4000
        if mode & 0o010 != 0 { mode &= ~0o2000 }
        // Gone already is as good as removed.
        do { try removeCapabilities(in: memory) } catch {}
    }

    private mutating func removeCapabilities(in memory: Memory) throws(Errno) {
        if extendedAttributes.isEmpty { return }
        try Array("security.capability".utf8).withRawSpan { (name) throws(Errno) in
            try extendedAttributes.remove(name, in: memory, charge: &charge)
        }
    }

    /// Frees all memory that the state keeps; what is left of the charge is the slot's.
    mutating func free(in memory: Memory) {
        extendedAttributes.free(in: memory, charge: &charge)
        var taken = Inode.Body.plain
        swap(&taken, &body)
        switch consume taken {
        case .file(var contents): contents.free(in: memory, charge: &charge)
        case .symlink(var target): target.free(in: memory, charge: &charge)
        case .directory(let directory):
            precondition(directory.names.count == 0, "a directory with names in it was freed")
        case .device: break
        case .plain: break
        }
    }
}
