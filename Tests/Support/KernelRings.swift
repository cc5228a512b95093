import Basics
import Glibc

/// The kernel's leave to have FUSE requests come through io_uring: a parameter of the whole machine, which
/// root sets and the kernel heeds when it mounts. One holds it at a time, in whatever process.
///
/// Others wait for it with their threads. So whoever holds it must not wait for a thread of Swift's pool.
package struct KernelRings: Sendable {
    private static let parameter: Path = "/sys/module/fuse/parameters/enable_uring"

    private let setting: Int32
    private let before: [UInt8]

    /// From now until `restore` the kernel offers io_uring, or does not, to those who mount.
    @available(*, noasync)
    package init(offered: Bool) throws {
        let setting = try Kernel.open(Self.parameter, O_RDWR)
        do {
            try Kernel.call { flock(setting, LOCK_EX) }
            before = try Kernel.read(setting, at: 0, 8)
            try Kernel.write(setting, Array((offered ? "Y" : "N").utf8), at: 0)
        } catch {
            _ = Glibc.close(setting)
            throw error
        }
        self.setting = setting
    }

    package func restore() {
        _ = try? Kernel.write(setting, before, at: 0)
        // A child between its fork and its exec has the descriptor as well.
        _ = flock(setting, LOCK_UN)
        _ = Glibc.close(setting)
    }

    @available(*, noasync)
    package static func with(offered: Bool, _ body: () throws -> Void) throws {
        let rings = try KernelRings(offered: offered)
        defer { rings.restore() }
        try body()
    }

    /// Whether a test may give that leave. Says, once, why not.
    package static let canSet: Bool = {
        guard MountFixture.canMount else { return false }
        do {
            try with(offered: true) {}
            return true
        } catch {
            print("SKIPPED: every test of io_uring, since \(parameter) cannot be set: \(error)")
            return false
        }
    }()
}
