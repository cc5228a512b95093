import Basics
import CLinux
import Glibc

/// What one thread of `MountStress` does.
struct MountStressWorker {
    private let stress: MountStress
    private let number: Int
    private var random: Generator
    private var own: OwnFile

    init(_ stress: MountStress, number: Int, seed: UInt64) {
        self.stress = stress
        self.number = number
        random = Generator(seed: seed)
        own = OwnFile(named: "own-\(number)", in: stress.folders[0])
    }

    /// What may be refused or have gone while others are at work.
    private static let expected: Set<Int32> = [
        ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EINVAL, ENOSPC, EMFILE, ENODATA, ENXIO, ELOOP, EPERM,
    ]

    mutating func run(until deadline: Int) {
        while time(nil) < deadline, !stress.hasFailed {
            do {
                try step()
            } catch let error as Errno where Self.expected.contains(error.rawValue) {
                // Somebody was quicker, or the mount is full.
            } catch {
                stress.note("thread \(number): \(error)")
            }
            stress.watch.move()
        }
    }

    private mutating func step() throws {
        let folder = random.pick(stress.folders)
        let path = folder / "n\(random.below(15))"
        switch random.below(100) {
        case 0..<20: try make(path)
        case 20..<35: try move(path)
        case 35..<45: try remove(path)
        case 45..<60: try useShared()
        case 60..<90:
            if let trouble = try own.step(&random, stress.folders) {
                stress.note("thread \(number): \(trouble)")
            }
        case 90..<96: try checkListing(folder)
        default:
            _ = try Kernel.statvfs(path)
            try Kernel.setXattr(path, Path("user.\(random.below(3))"), random.bytes(random.below(400)))
        }
    }

    private mutating func make(_ path: Path) throws {
        switch random.below(10) {
        case 0, 1: try Kernel.mkdir(path)
        case 2: try Kernel.symlink(Path("n\(random.below(15))"), path)
        case 3: try Kernel.mknod(path, S_IFIFO | 0o600)
        case 4, 5: try Kernel.link(random.pick(stress.folders) / "n\(random.below(15))", path)
        case 6:
            let fd = try Kernel.open(random.pick(stress.folders), linux_o_tmpfile | O_RDWR, 0o600)
            defer { _ = Glibc.close(fd) }
            try Kernel.write(fd, random.bytes(random.below(20_000)))
            try Kernel.linkat(AT_FDCWD, Path("/proc/self/fd/\(fd)"), path, flags: AT_SYMLINK_FOLLOW)
        default:
            let fd = try Kernel.open(path, O_RDWR | O_CREAT | O_NONBLOCK | (random.chance(50) ? O_EXCL : 0))
            defer { _ = Glibc.close(fd) }
            try Kernel.write(fd, random.bytes(random.below(20_000)))
        }
    }

    /// Over each other's names, into each other's directories, and names that change places.
    private mutating func move(_ path: Path) throws {
        let target = random.pick(stress.folders)
        // One in four goes into a directory that others move as well.
        let inner =
            random.chance(25) ? target / "n\(random.below(15))" / "inner" : target / "n\(random.below(15))"
        let flags: UInt32 = random.pick([0, 0, linux_rename_noreplace, linux_rename_exchange])
        try Kernel.rename(path, inner, flags: flags)
    }

    private mutating func remove(_ path: Path) throws {
        do {
            try Kernel.unlink(path)
        } catch Errno.isDirectory {
            try PosixCase.removeAll(path)
        }
    }

    /// Blocks are written whole, and read past the cache: a reader sees one or the other, never a mixture.
    private mutating func useShared() throws {
        let file = random.pick(stress.shared)
        let offset = random.below(64) * MountStress.blockBytes
        let direct = random.chance(50) ? linux_o_direct : 0
        let fd = try Kernel.open(file, O_RDWR | (direct))
        defer { _ = Glibc.close(fd) }
        switch random.below(10) {
        case 0: try Kernel.truncate(fd, offset)
        case 1: try Kernel.fallocate(fd, linux_falloc_punch_hole | linux_falloc_keep_size, offset, 8192)
        case 2, 3, 4:
            guard direct != 0 else { return _ = try Kernel.read(fd, at: offset, 40_000) }
            let bytes = try Kernel.read(fd, at: offset, 5 * MountStress.blockBytes)
            if stress.readsWhole { stress.checkBlocks(bytes, of: file) }
        default:
            let count = MountStress.blockBytes * (1 + random.below(5))
            let byte = UInt8(1 + random.below(255))
            try Kernel.write(fd, [UInt8](repeating: byte, count: count), at: offset)
        }
    }

    private func checkListing(_ folder: Path) throws {
        let names = try Kernel.list(folder).map(\.text)
        for anchor in MountStress.anchors where names.filter({ $0 == anchor }).count != 1 {
            stress.note("\(folder): a listing does not have \(anchor) once")
        }
    }
}
