import Basics
import Glibc

/// Waits for what no event tells of, never for ever.
package enum Patience {
    /// Asks again and again until it is so, for at most so many seconds, and returns whether it is.
    package static func until(seconds: Int = 20, _ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = time(nil) + seconds
        while try !condition() {
            if time(nil) >= deadline { return false }
            Thread.pause(microseconds: 10_000)
        }
        return true
    }
}
