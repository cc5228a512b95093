import Basics
import Support

/// The patterns whose memory must stay within what is reported as used.
enum Patterns {
    /// `amount` after a full run's number and a quick one's.
    private static func size(_ full: Int, _ quick: Int, isQuick: Bool) -> Int { isQuick ? quick : full }

    static func all(isQuick: Bool) -> [any Pattern] {
        [
            large(piece: 1 << 20, bytes: size(1 << 30, 256 << 20, isQuick: isQuick)),
            large(piece: 4096, bytes: size(1 << 30, 96 << 20, isQuick: isQuick)),
            emptyFiles(size(1_000_000, 100_000, isQuick: isQuick)),
            smallFiles(size(1_000_000, 60_000, isQuick: isQuick)),
            directories(size(200_000, 60_000, isQuick: isQuick)),
            longNames(size(1_000_000, 100_000, isQuick: isQuick)),
            attributes(size(100_000, 8000, isQuick: isQuick)),
            appends(size(10_000_000, 200_000, isQuick: isQuick)),
            holes(size(131_072, 20_000, isQuick: isQuick)),
            sparse(size(100_000, 8000, isQuick: isQuick)),
            Churn(limitBytes: size(1 << 30, 128 << 20, isQuick: isQuick)),
            Thinned(files: size(300_000, 50_000, isQuick: isQuick)),
        ]
    }

    /// Bytes that tell one number from another.
    static func stamp(_ number: Int, _ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number &* 37 &+ 11), count: count)
        var rest = UInt64(bitPattern: Int64(number)) | 1 << 63
        for index in 0..<min(8, count) {
            bytes[index] = UInt8(truncatingIfNeeded: rest)
            rest >>= 8
        }
        return bytes
    }

    static func padded(_ number: Int, _ width: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    private static func large(piece: Int, bytes: Int) -> any Pattern {
        Writes(
            name: "one file in writes of \(piece >> 10) KiB", amount: "\(bytes >> 20) MiB",
            count: bytes / piece,
            offset: { $0 * piece }, bytes: { stamp($0, piece) })
    }

    private static func emptyFiles(_ count: Int) -> any Pattern {
        let name: @Sendable (Int) -> String = { "d\($0 / max(1, count / 1000))/f" + padded($0, 11) }
        return Steps(
            name: "empty files", amount: "\(count) in 1000 directories", count: count,
            store: { hands, number in
                let name = name(number)
                let folder = String(name.prefix { $0 != "/" })
                try hands.inFolder(folder) { try hands.makeFile(name) }
            },
            isAsStored: { hands, number in try hands.size(of: name(number)) == 0 },
            drop: { hands, number in try hands.remove(name(number)) })
    }

    private static func smallFiles(_ count: Int) -> any Pattern {
        let name: @Sendable (Int) -> String = { "d\($0 / 1000)/f\($0)" }
        return Steps(
            name: "files of 100 bytes", amount: "\(count)", count: count,
            store: { hands, number in
                try hands.inFolder("d\(number / 1000)") {
                    try hands.store(name(number), stamp(number, 100))
                }
            },
            isAsStored: { hands, number in
                try hands.contents(of: name(number), 100) == stamp(number, 100)
            },
            drop: { hands, number in try hands.remove(name(number)) })
    }

    private static func directories(_ count: Int) -> any Pattern {
        Steps(
            name: "directories", amount: "\(count)", count: count,
            store: { hands, number in
                let folder = "p\(number / 1000)"
                try hands.inFolder(folder) { try hands.makeDirectory("\(folder)/d\(number)") }
            },
            isAsStored: { hands, number in try hands.size(of: "p\(number / 1000)/d\(number)") >= 0 },
            drop: { hands, number in try hands.removeDirectory("p\(number / 1000)/d\(number)") })
    }

    private static func longNames(_ count: Int) -> any Pattern {
        let name: @Sendable (Int) -> String = { padded($0, 200) }
        return Steps(
            name: "names of 200 bytes", amount: "\(count) in one directory", count: count,
            store: { hands, number in try hands.makeFile(name(number)) },
            isAsStored: { hands, number in try hands.size(of: name(number)) == 0 },
            drop: { hands, number in try hands.remove(name(number)) })
    }

    private static func attributes(_ count: Int) -> any Pattern {
        let name: @Sendable (Int) -> String = { "d\($0 / 1000)/f\($0)" }
        return Steps(
            name: "ten xattrs of 1 KiB", amount: "\(count) files", count: count,
            store: { hands, number in
                try hands.inFolder("d\(number / 1000)") { try hands.makeFile(name(number)) }
                do {
                    for xattr in 0..<10 {
                        let value = stamp(number * 10 + xattr, 1024)
                        try hands.setAttribute("user.x\(xattr)", of: name(number), to: value)
                    }
                } catch {
                    try hands.remove(name(number))
                    throw error
                }
            },
            isAsStored: { hands, number in
                try (0..<10).allSatisfy { xattr in
                    try hands.attribute("user.x\(xattr)", of: name(number))
                        == stamp(number * 10 + xattr, 1024)
                }
            },
            drop: { hands, number in try hands.remove(name(number)) })
    }

    private static func appends(_ count: Int) -> any Pattern {
        Writes(
            name: "appends of one byte", amount: "\(count)", count: count, appends: true, offset: { $0 },
            bytes: { [UInt8(truncatingIfNeeded: $0 % 251)] })
    }

    /// One page in ten is written, in a scattered order and not from its start.
    private static func holes(_ count: Int) -> any Pattern {
        Writes(
            name: "random writes, 90 % holes", amount: "\(count) writes", count: count,
            offset: { number in
                let place = (number &* 7919) % count
                return (place * 10 + place % 7) * 4096 + 500
            }, bytes: { stamp($0, 3000) })
    }

    private static func sparse(_ count: Int) -> any Pattern {
        Writes(
            name: "one byte in each GiB", amount: "\(count) GiB", count: count,
            // Alone in its GiB, a page has three nodes of the index for itself.
            loneIndex: 3 * 584, offset: { $0 << 30 },
            bytes: { [UInt8(truncatingIfNeeded: $0 % 250) + 1] })
    }
}
