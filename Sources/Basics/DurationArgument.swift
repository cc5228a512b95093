/// A length of time as the command line takes it.
public enum DurationArgument {
    /// Reads `20`, `20s`, `500ms` or `2m` as milliseconds; 0 is allowed.
    public static func milliseconds(parsing text: String) throws(QuantityError) -> Int {
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("", 1000)]
        let (suffix, scale) = units.first { text.hasSuffix($0.0) } ?? ("", 1000)
        let digits = text.dropLast(suffix.utf8.count)
        // A day is longer than anything here waits.
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let count = Int(digits),
            count <= 86_400_000 / scale
        else {
            throw QuantityError("'\(text)' is not a time: write one such as 20s, 500ms or 2m")
        }
        return count * scale
    }
}
