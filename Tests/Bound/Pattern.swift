import Basics
import Glibc
import Support

/// Something that was stored is not there any more, or not as it was.
struct Damage: Error, CustomStringConvertible {
    let description: String
}

/// One way to use a mount. What it stores it can check and remove again.
protocol Pattern: Sendable {
    var name: String { get }
    /// What it stores, in words.
    var amount: String { get }
    /// How many threads store at once.
    var parts: Int { get }
    /// The limit that surely suffices, in bytes.
    var ampleBytes: Int { get }
    /// Whether it runs into the limit even where that is ample.
    var expectsRefusal: Bool { get }
    /// What the kernel holds to find pages that lie alone in a file of a tmpfs, in bytes: nobody is charged
    /// for it, and only the cgroup shows it.
    var loneIndexBytes: Int { get }
    /// Stores one part until it is complete or refused with ENOSPC.
    func fill(_ hands: Hands, part: Int) throws -> Filling
    /// Throws `Damage` where what one part has stored is not as it was.
    func check(_ hands: Hands, part: Int, _ filling: Filling) throws
    func remove(_ hands: Hands, part: Int, _ filling: Filling) throws
}

extension Pattern {
    var expectsRefusal: Bool { false }
    var loneIndexBytes: Int { 0 }
}

/// How far one part has come.
struct Filling: Sendable {
    /// Steps that were stored in full.
    var steps = 0
    var isRefused = false
    /// What a pattern must remember beside.
    var kept: [Int] = []
}

/// A pattern of equal steps, each known by its number.
struct Steps: Pattern {
    let name: String
    let amount: String
    var parts = 2
    var ampleBytes = 4 << 30
    /// Of all parts together.
    let count: Int
    let store: @Sendable (Hands, Int) throws -> Void
    let isAsStored: @Sendable (Hands, Int) throws -> Bool
    let drop: @Sendable (Hands, Int) throws -> Void

    private func numbers(_ part: Int) -> Range<Int> {
        count * part / parts..<count * (part + 1) / parts
    }

    func fill(_ hands: Hands, part: Int) throws -> Filling {
        var filling = Filling()
        for number in numbers(part) {
            do {
                try store(hands, number)
            } catch Errno.noSpace {
                filling.isRefused = true
                break
            }
            filling.steps += 1
        }
        return filling
    }

    func check(_ hands: Hands, part: Int, _ filling: Filling) throws {
        for number in numbers(part).prefix(filling.steps) where try !isAsStored(hands, number) {
            throw Damage(description: "\(name): step \(number) is not as it was stored")
        }
    }

    func remove(_ hands: Hands, part: Int, _ filling: Filling) throws {
        for number in numbers(part).prefix(filling.steps) { try drop(hands, number) }
    }
}

/// A pattern of writes to one file, each known by its number: write `number` goes to `offset`.
struct Writes: Pattern {
    let name: String
    let amount: String
    let parts = 1
    var ampleBytes = 4 << 30
    let count: Int
    var appends = false
    /// For each write.
    var loneIndex = 0
    let offset: @Sendable (Int) -> Int
    let bytes: @Sendable (Int) -> [UInt8]

    var loneIndexBytes: Int { count * loneIndex }

    func fill(_ hands: Hands, part: Int) throws -> Filling {
        let file = try hands.open("file", O_CREAT | O_WRONLY | (appends ? O_APPEND : 0))
        defer { _ = Glibc.close(file) }
        var filling = Filling()
        for number in 0..<count {
            do {
                let bytes = bytes(number)
                if appends {
                    try Kernel.write(file, bytes)
                } else {
                    try hands.write(file, bytes, at: offset(number))
                }
            } catch Errno.noSpace {
                filling.isRefused = true
                break
            }
            filling.steps += 1
        }
        return filling
    }

    func check(_ hands: Hands, part: Int, _ filling: Filling) throws {
        let file = try hands.open("file", O_RDONLY)
        defer { _ = Glibc.close(file) }
        var last: (offset: Int, bytes: [UInt8]) = (0, [])
        for number in 0..<filling.steps {
            let wanted = bytes(number)
            let start = offset(number)
            // One read serves many small writes in a row.
            if start < last.offset || start + wanted.count > last.offset + last.bytes.count {
                last = (start, try Kernel.read(file, at: start, max(wanted.count, 64 << 10)))
            }
            let place = start - last.offset
            guard place + wanted.count <= last.bytes.count,
                last.bytes[place..<place + wanted.count] == wanted[...]
            else {
                throw Damage(description: "\(name): write \(number) is not as it was stored")
            }
        }
    }

    func remove(_ hands: Hands, part: Int, _ filling: Filling) throws {
        try hands.remove("file")
    }
}
