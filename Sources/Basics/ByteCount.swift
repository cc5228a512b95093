/// A number of bytes, as people write and read it: `512M`, `1.5GiB`. Units are powers of 1024.
public struct ByteCount: Hashable, Comparable, Sendable {
    public let bytes: Int

    public init(_ bytes: Int) {
        self.bytes = bytes
    }

    public static func < (left: ByteCount, right: ByteCount) -> Bool {
        left.bytes < right.bytes
    }
}

extension ByteCount: CustomStringConvertible {
    /// As `2 GiB` or `1.5 MiB`: at most one decimal, rounded down so that it never promises more than there
    /// is.
    public var description: String {
        var scale = 1
        var unit = "B"
        for (name, next) in [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)]
        where bytes.magnitude >= next {
            scale = next
            unit = name
        }
        let whole = bytes / scale
        let tenths = (bytes % scale).magnitude * 10 / UInt(scale)
        return tenths == 0 ? "\(whole) \(unit)" : "\(whole).\(tenths) \(unit)"
    }
}

/// Why a text is no size or count: one English line that says what to write instead.
public struct QuantityError: Error, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

/// A size as the command line takes it: a number of bytes, or a share of the memory that can be had.
public enum SizeArgument: Hashable, Sendable {
    case bytes(ByteCount)
    /// In thousandths of a percent: above 0, at most 100,000.
    case percent(thousandths: Int)

    /// Reads `512M`, `2G`, `1.5GiB`, `64k`, plain bytes or `25%`.
    public init(parsing text: String) throws(QuantityError) {
        guard text.hasSuffix("%") else {
            self = .bytes(try ByteCount(parsing: text))
            return
        }
        let thousandths: Int
        do throws(Quantity.Fault) {
            thousandths = try Quantity.scaled(text.utf8.dropLast(), by: 1000)
        } catch {
            throw Quantity.error(error, in: text, what: "a percentage", example: "25%")
        }
        guard thousandths <= 100_000 else {
            throw QuantityError("'\(text)' is more than all memory: name at most 100%")
        }
        self = .percent(thousandths: thousandths)
    }
}

extension ByteCount {
    /// Reads `512M`, `2G`, `1.5GiB`, `64k` or plain bytes; the result is above 0.
    public init(parsing text: String) throws(QuantityError) {
        do throws(Quantity.Fault) {
            bytes = try Quantity.suffixed(text.utf8[...], takesByteUnit: true)
        } catch {
            throw Quantity.error(error, in: text, what: "a size", example: "512M, 2G or 25%")
        }
    }
}

/// A count as the command line takes it, such as a number of nodes.
public enum CountArgument {
    /// Reads `100`, `64k` or `1m` (powers of 1024, as tmpfs's nr_inodes); the result is above 0.
    public static func parse(_ text: String) throws(QuantityError) -> Int {
        do throws(Quantity.Fault) {
            return try Quantity.suffixed(text.utf8[...], takesByteUnit: false)
        } catch {
            throw Quantity.error(error, in: text, what: "a count", example: "100, 64k or 1m")
        }
    }
}

/// The grammar that sizes, counts and percentages share: `DIGITS[.DIGITS][SUFFIX]`.
private enum Quantity {
    enum Fault: Error {
        case malformed, negative, zero, tooLarge
    }

    static func error(_ fault: Fault, in text: String, what: String, example: String) -> QuantityError {
        let reason =
            switch fault {
            case .malformed: "is not \(what)"
            case .negative: "is negative"
            case .zero: "is zero, which would hold nothing"
            case .tooLarge: "is larger than this machine can count"
            }
        return QuantityError("'\(text)' \(reason): write \(what) such as \(example)")
    }

    static func suffixed(_ text: Substring.UTF8View, takesByteUnit: Bool) throws(Fault) -> Int {
        var number = text
        var scale = 1
        let lower = { (byte: UInt8?) -> UInt8 in (byte ?? 0) | 0x20 }
        if takesByteUnit, lower(number.last) == UInt8(ascii: "b") {
            number = number.dropLast()
            // "iB" needs a letter before it; a bare "B" does not.
            if lower(number.last) == UInt8(ascii: "i") {
                number = number.dropLast()
                guard "kmgtpe".utf8.contains(lower(number.last)) else { throw .malformed }
            }
        }
        if let power = "kmgtpe".utf8.enumerated().first(where: { $0.element == lower(number.last) })?.offset {
            number = number.dropLast()
            scale = 1 << (10 * (power + 1))
        }
        return try scaled(number, by: scale)
    }

    /// `number` times `scale`, where `number` may have decimals if `scale` is not 1; rounded down.
    static func scaled(_ number: Substring.UTF8View, by scale: Int) throws(Fault) -> Int {
        if number.first == UInt8(ascii: "-"), number.count > 1 {
            let magnitude = try scaled(number.dropFirst(), by: scale)
            precondition(magnitude > 0)
            throw .negative
        }
        let parts = number.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard let whole = parts.first, parts.count <= 2, !whole.isEmpty else { throw .malformed }
        var total = try digits(whole)
        total = try product(total, scale)
        if parts.count == 2 {
            // Nine decimals are exact for every unit up to a gigabyte and enough for any other.
            guard scale > 1, !parts[1].isEmpty, parts[1].count <= 9 else { throw .malformed }
            var tenth = 1
            for _ in parts[1] { tenth *= 10 }
            let fraction = try digits(parts[1]).multipliedFullWidth(by: scale)
            total = try sum(total, tenth.dividingFullWidth(fraction).quotient)
        }
        guard total > 0 else { throw .zero }
        return total
    }

    private static func digits(_ text: Substring.UTF8View) throws(Fault) -> Int {
        var value = 0
        for byte in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { throw .malformed }
            value = try sum(try product(value, 10), Int(byte - UInt8(ascii: "0")))
        }
        return value
    }

    private static func product(_ left: Int, _ right: Int) throws(Fault) -> Int {
        let (value, overflows) = left.multipliedReportingOverflow(by: right)
        guard !overflows else { throw .tooLarge }
        return value
    }

    private static func sum(_ left: Int, _ right: Int) throws(Fault) -> Int {
        let (value, overflows) = left.addingReportingOverflow(right)
        guard !overflows else { throw .tooLarge }
        return value
    }
}
