import Glibc

/// The bodies of requests, of the length that each opcode has, and the errnos that each may be answered with.
extension HostileDice {
    mutating func body(of opcode: Opcode) -> [UInt8] {
        switch opcode {
        case .lookup, .unlink, .rmdir: return name()
        case .symlink: return name() + name()
        case .mknod: return words(mode(), word(), word(), 0) + name()
        case .mkdir: return words(mode(), word()) + name()
        case .create: return words(word(), mode(), word(), 0) + name()
        case .tmpfile: return words(word(), mode(), word(), 0) + [47, 0]
        case .rename: return longs(folder()) + name() + name()
        case .rename2: return longs(folder()) + words(flags([0, 0, 1, 2, 4, 5]), 0) + name() + name()
        case .link: return longs(node()) + name()
        case .forget: return longs(random.pick([0, 1, 2, 1 << 32, .max]))
        case .batchForget: return batchForget()
        case .setattr: return setattr()
        case .read, .readdir, .readdirplus:
            return longs(random.next(), offset()) + words(word(), word()) + noise(16)
        case .write: return write()
        case .fallocate:
            let mode = flags([0, 1, 3, 16, 17, 18, 19, 8, 32])
            return longs(
                random.next(), offset(), random.chance(50) ? UInt64(random.below(1 << 17)) : offset())
                + words(mode, 0)
        case .lseek: return longs(random.next(), offset()) + words(flags([3, 4, 0, 2]), 0)
        case .copyFileRange:
            let range = [random.next(), offset(), file(), random.next(), offset(), offset()]
            return longs(range) + longs(random.chance(90) ? 0 : random.next())
        case .setxattr: return setxattr()
        case .getxattr: return words(flags([0, 100, 1 << 16]), 0) + xattrName()
        case .listxattr: return words(flags([0, 1 << 16]), 0)
        case .removexattr: return xattrName()
        default: return noise(Self.lengths[opcode] ?? 0)
        }
    }

    /// Of those that are noise from end to end.
    private static let lengths: [Opcode: Int] = [
        .getattr: 16, .open: 8, .release: 24, .fsync: 16, .flush: 24, .initialize: 64, .opendir: 8,
        .releasedir: 24, .fsyncdir: 16, .getlk: 48, .setlk: 48, .access: 8, .interrupt: 8, .bmap: 16,
        .ioctl: 32, .poll: 24,
    ]

    private mutating func mode() -> UInt32 {
        random.pick([0o100644, 0o100644, 0o040755, 0o120777, 0o010600, 0o020600, 0o140600, 0, word()])
    }

    /// The count may say more than there is, and what there is may be forgotten too often.
    private mutating func batchForget() -> [UInt8] {
        let count = random.below(5)
        var body = words(random.chance(90) ? UInt32(count) : word(), word())
        for _ in 0..<count { body += longs(node(), random.pick([0, 1, 2, .max])) }
        return body
    }

    private mutating func setattr() -> [UInt8] {
        let fields = random.chance(50) ? 1 << UInt32(random.below(12)) : word()
        let seconds = [random.next(), UInt64(random.below(1 << 31)), offset()]
        return words(fields, word()) + longs(random.next(), offset(), random.next()) + longs(seconds)
            + words(word(), word(), word(), mode(), word(), word(), word(), word())
    }

    /// The length may say more than there is.
    private mutating func write() -> [UInt8] {
        let count = random.chance(95) ? random.below(9000) : random.below(1 << 20)
        let said = random.chance(95) ? UInt32(count) : word()
        let place = random.chance(60) ? UInt64(random.below(1 << 16)) : offset()
        return longs(random.next(), place) + words(said, flags([0, 4, 1]))
            + longs(random.next(), random.next())
            + payload(count)
    }

    private mutating func setxattr() -> [UInt8] {
        let count = random.pick([0, 1, 10, 300, 5000, 65536, 65537])
        let said = random.chance(95) ? UInt32(count) : word()
        return words(said, flags([0, 1, 2, 3])) + xattrName() + payload(count)
    }

    private func words(_ values: UInt32...) -> [UInt8] { values.reduce(into: []) { $0.put($1) } }
    private func longs(_ values: UInt64...) -> [UInt8] { longs(values) }
    private func longs(_ values: [UInt64]) -> [UInt8] { values.reduce(into: []) { $0.put($1) } }

    // MARK: Answers

    /// Whether the manual page of the operation, or our contract, has this errno.
    static func isSane(_ error: Int32, for opcode: Opcode) -> Bool {
        // The node has ended, or never was.
        if error == ESTALE { return !never.contains(opcode) }
        return sane[opcode]?.contains(error) ?? (error == ENOSYS)
    }

    /// Operations that ask for nothing of a node.
    private static let never: Set<Opcode> = [.initialize, .open, .opendir, .release, .releasedir]
    private static let refusals: Set<Int32> = [ENOSPC, EMFILE, EDQUOT]
    private static let naming: Set<Int32> = [ENOTDIR, EINVAL, ENAMETOOLONG]
    private static let making = naming.union(refusals).union([EEXIST, ENOENT])

    private static let sane: [Opcode: Set<Int32>] = [
        .lookup: naming,
        .getattr: [],
        .setattr: refusals.union([EINVAL, EISDIR, EOPNOTSUPP, EFBIG]),
        .readlink: [EINVAL],
        .symlink: making, .mknod: making, .mkdir: making, .create: making, .tmpfile: making,
        .link: making.union([EPERM, EMLINK]),
        .unlink: naming.union([ENOENT, EISDIR]),
        .rmdir: naming.union([ENOENT, ENOTEMPTY]),
        .rename: making.union([EISDIR, ENOTEMPTY]), .rename2: making.union([EISDIR, ENOTEMPTY]),
        .open: [ENOSYS], .opendir: [ENOSYS], .release: [], .releasedir: [],
        .read: [EINVAL, EISDIR],
        .write: refusals.union([EINVAL, EISDIR, EFBIG, EIO, EOPNOTSUPP]),
        .statfs: [],
        .setxattr: refusals.union([EOPNOTSUPP, EINVAL, ERANGE, E2BIG, EEXIST, ENODATA, EPERM, EIO]),
        .getxattr: [EOPNOTSUPP, EINVAL, ERANGE, ENODATA],
        .listxattr: [ERANGE, E2BIG],
        .removexattr: [EOPNOTSUPP, EINVAL, ERANGE, ENODATA, EPERM],
        .initialize: [EIO],
        .readdir: [ENOTDIR, EINVAL], .readdirplus: [ENOTDIR, EINVAL],
        .fallocate: refusals.union([EINVAL, EISDIR, EFBIG, EOPNOTSUPP]),
        .lseek: [EINVAL, EISDIR, ENXIO],
        .copyFileRange: refusals.union([EINVAL, EISDIR, EFBIG, EOPNOTSUPP]),
    ]
}
