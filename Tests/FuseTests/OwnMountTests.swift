import Accounting
import Basics
import CLinux
import Fuse
import Glibc
import Serving
import Support
import Testing
import Tree

@Suite("The daemon and its own mount")
struct OwnMountTests {
    private static let canMount = MountFixture.canMount && geteuid() == 0

    #if DEBUG
        /// Every mount that a debug build serves is watched in this way, and so every test of a mount.
        @Test(
            "a debug build stops when the process that serves a mount uses it",
            .enabled(if: canMount, "only root can take the dead mount away"))
        func ownRequest() async throws {
            let path = Path("/tmp/dmemfs-own-\(getpid())")
            try Kernel.mkdir(path)
            defer { Self.clear(path) }
            let result = await #expect(
                processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
            ) {
                try OwnMountTests.useOwnMount("/tmp/dmemfs-own-\(getppid())", overIOUring: false)
            }
            let said = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            #expect(said.contains("of the daemon itself used the mount"))
        }

        @Test(
            "the same over io_uring",
            .enabled(if: canMount && KernelRings.canSet, "the kernel's io_uring cannot be switched on"))
        func ownRequestOverIOUring() async throws {
            let path = Path("/tmp/dmemfs-ring-\(getpid())")
            try Kernel.mkdir(path)
            defer { Self.clear(path) }
            let result = await #expect(
                processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
            ) {
                try OwnMountTests.useOwnMount("/tmp/dmemfs-ring-\(getppid())", overIOUring: true)
            }
            let said = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            #expect(said.contains("of the daemon itself used the mount"))
        }

        private static func clear(_ path: Path) {
            try? Kernel.unmount(path, flags: linux_umount_detach)
            try? Kernel.rmdir(path)
        }

        private static func useOwnMount(_ path: String, overIOUring: Bool) throws {
            let tree = try Tree(TreeConfiguration(limits: Limits(bytes: 1 << 20)))
            let session = try Session(
                serving: TreeServer(tree),
                MountOptions(mountpoint: path, workers: 2, usesIOUring: overIOUring))
            // The test waits for this process without a limit.
            _ = alarm(60)
            let rings = overIOUring ? try KernelRings(offered: true) : nil
            try session.mount()
            _ = session.serve {
                rings?.restore()
                _ = try? Kernel.stat(Path("\(path)/name"))
            }
        }
    #endif
}
