import Basics
import CLinux
import Glibc
import Synchronization

/// Threads that work in the same directories and the same files of a mount: names come, go, cross over and
/// are linked; files grow, shrink, get holes and are copied. What can be known of contents is checked.
package final class MountStress: Sendable {
    /// How long nothing may move before the stacks are printed and the mount is taken down.
    package static let patienceSeconds = 30

    let path: Path
    let watch = StallWatch()
    let folders: [Path]
    /// Files of whole blocks, written by everybody.
    let shared: [Path]
    let readsWhole: Bool
    private let process: Int32
    private let abort: @Sendable () -> Void
    private let failures = Mutex<[String]>([])

    static let blockBytes = 4096
    /// Names in each folder that always stay: every listing must have each of them once.
    static let anchors = (0..<20).map { "anchor-\($0)" }

    /// - Parameter readsWhole: whether a read past the cache finds no half of a write. Where the kernel reads
    ///   a tmpfs itself, it may.
    package init(_ mount: MountFixture, readsWhole: Bool) throws {
        self.readsWhole = readsWhole
        path = mount.path
        process = mount.process
        abort = mount.aborter
        let path = mount.path
        folders = (0..<4).map { path / "d\($0)" }
        shared = (0..<4).map { path / "shared-\($0)" }
        for folder in folders {
            try Kernel.mkdir(folder)
            for name in Self.anchors { try Kernel.close(Kernel.open(folder / name, O_WRONLY | O_CREAT)) }
        }
        for file in shared { try Kernel.close(Kernel.open(file, O_WRONLY | O_CREAT)) }
    }

    /// Works for so long, and removes everything. Returns what was not as it should be.
    package func run(threads: Int, seconds: Int, seed: UInt64) throws -> [String] {
        let deadline = time(nil) + seconds
        let wentOn = try watch.watch(seconds: Self.patienceSeconds) {
            Threads.together(threads) { [self] thread in
                var worker = MountStressWorker(self, number: thread, seed: seed &+ UInt64(thread) &* 7919)
                worker.run(until: deadline)
            }
            try checkShared()
            for folder in folders { try PosixCase.removeAll(folder) }
            for file in shared { try Kernel.unlink(file) }
        } alarm: { [process, abort] in
            print("nothing has moved for \(Self.patienceSeconds) s; the daemon's threads:")
            print(Stacks.of(process))
            print("and those that wait for it:")
            print(Stacks.kernelStacks(of: getpid()))
            abort()
        }
        if !wentOn { note("nothing moved any more") }
        return failures.withLock { $0 }
    }

    /// How much was done.
    package var steps: Int { watch.count }

    func note(_ failure: String) {
        failures.withLock { if $0.count < 20 { $0.append(failure) } }
    }

    var hasFailed: Bool { failures.withLock { !$0.isEmpty } }

    /// With nobody at work the cache and the daemon must agree, and each block must be of one byte.
    private func checkShared() throws {
        for file in shared {
            let fd = try Kernel.open(file, O_RDONLY)
            let direct = try Kernel.open(file, O_RDONLY | linux_o_direct)
            let size = try Kernel.stat(fd).st_size
            let cached = try Kernel.read(fd, at: 0, size + 1)
            let stored = try Kernel.read(direct, at: 0, size + 1)
            if cached != stored || cached.count != size { note("\(file): the cache is not what is stored") }
            checkBlocks(stored, of: file)
            try Kernel.close(fd)
            try Kernel.close(direct)
        }
    }

    func checkBlocks(_ bytes: [UInt8], of file: Path) {
        for start in stride(from: 0, to: bytes.count, by: Self.blockBytes) {
            let block = bytes[start..<min(start + Self.blockBytes, bytes.count)]
            if !block.allSatisfy({ $0 == block.first }) { note("\(file): the block at \(start) is mixed") }
        }
    }
}
