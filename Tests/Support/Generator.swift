import Glibc

/// SplitMix64: the same numbers for the same seed, everywhere.
package struct Generator: Sendable {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    /// The seed that DMEMFS_SEED names, or `usual`.
    package static func seed(usual: UInt64) -> UInt64 {
        number("DMEMFS_SEED", usual: usual)
    }

    /// The number in an environment variable, or `usual`.
    package static func number<Number: FixedWidthInteger>(_ variable: String, usual: Number) -> Number {
        guard let text = unsafe getenv(variable) else { return usual }
        guard let number = unsafe Number(String(cString: text)) else {
            preconditionFailure("\(variable) is no number")
        }
        return number
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` - 1.
    package mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "there is something to choose from")
        return Int(next() % UInt64(bound))
    }

    package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    package mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        let start = next()
        return (0..<count).map { UInt8(truncatingIfNeeded: start &+ UInt64($0) &* 167 >> 3) | 1 }
    }
}
