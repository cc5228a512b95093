import Basics
import Testing

@Suite("The order of locks")
struct LockTests {
    @Test("locks taken upwards, again and again, are let through")
    func inOrder() {
        let outer = Lock(0, as: .namespace)
        let inner = Lock(0, as: .inode)
        let innermost = Lock(0, as: .memory)
        for _ in 0..<3 {
            outer.withLock { count in
                inner.withLock { $0 += 1 }
                innermost.withLock { $0 += 1 }
                count += 1
            }
            innermost.withLock { $0 += 1 }
        }
        let counts = (outer.withLock { $0 }, inner.withLock { $0 }, innermost.withLock { $0 })
        #expect(counts == (3, 3, 6))
    }

    #if DEBUG
        @Test("a debug build stops at a lock that is taken out of order")
        func outOfOrder() async {
            let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let inner = Lock(0, as: .memory)
                let outer = Lock(0, as: .namespace)
                inner.withLock { _ in outer.withLock { $0 += 1 } }
            }
            #expect(said(result).contains("'namespace' may not be taken while 'memory' is held"))
        }

        @Test("a debug build stops at a second lock of one rank, which may be the same lock")
        func sameRank() async {
            let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let first = Lock(0, as: .inode)
                let second = Lock(0, as: .inode)
                first.withLock { _ in second.withLock { $0 += 1 } }
            }
            #expect(said(result).contains("'inode' may not be taken while 'inode' is held"))
        }

        private func said(_ result: ExitTest.Result?) -> String {
            String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        }
    #else
        @Test("a release build checks no order")
        func unchecked() {
            let inner = Lock(0, as: .memory)
            let outer = Lock(0, as: .namespace)
            inner.withLock { _ in outer.withLock { $0 += 1 } }
        }
    #endif
}
