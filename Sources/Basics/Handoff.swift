import CLinux
import Synchronization

/// A number that some threads offer to one that waits for it: the last one offered counts.
///
/// An offer costs a system call only where the other thread sleeps, or there is none yet.
@safe public struct Handoff: ~Copyable, Sendable {
    /// 0: nothing is offered.
    private let word = Atomic<UInt32>(0)

    public init() {}

    /// - Parameter number: not 0.
    public borrowing func offer(_ number: UInt32) {
        if word.exchange(number, ordering: .releasing) == 0 {
            unsafe word.withFutex { unsafe linux_futex_wake_one($0) }
        }
    }

    /// Waits until a number has been offered, and takes it.
    public borrowing func take() -> UInt32 {
        while true {
            let number = word.exchange(0, ordering: .acquiring)
            if number != 0 { return number }
            unsafe word.withFutex { unsafe linux_futex_wait($0, 0) }
        }
    }
}
