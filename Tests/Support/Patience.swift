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

    /// Asks for a figure until it is `wanted`, for at most three seconds, and returns what it is in the end.
    package static func settled(at wanted: Int, _ figure: () throws -> Int) rethrows -> Int {
        var found = try figure()
        _ = try until(seconds: 3) {
            if found != wanted { found = try figure() }
            return found == wanted
        }
        return found
    }
}
