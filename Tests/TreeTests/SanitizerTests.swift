import Glibc
import Support
import Testing

/// Faults made on purpose, which a sanitizer must notice: `Tests/sanitize.sh` looks whether it does.
@Suite(
    "Faults for the sanitizers",
    .enabled(if: Generator.number("DMEMFS_CANARY", usual: 0) != 0, "only where DMEMFS_CANARY is set"))
struct SanitizerTests {
    private final class Unguarded: @unchecked Sendable {
        var count = 0
    }

    @Test("threads that count without a lock are a race")
    func race() {
        let unguarded = Unguarded()
        Threads.together(2) { _ in
            for _ in 0..<10_000 { unguarded.count += 1 }
        }
        print("counted to \(unguarded.count)")
    }

    @Test("a byte behind the end of a block is out of bounds")
    func outOfBounds() {
        let block = UnsafeMutablePointer<UInt8>.allocate(capacity: 16)
        unsafe block.initialize(repeating: 1, count: 16)
        let behind = Generator.number("DMEMFS_CANARY", usual: 0) + 15
        print("behind the end is \(unsafe block[behind])")
        unsafe block.deallocate()
    }
}
