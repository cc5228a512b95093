import Glibc

/// Text that others have chosen, such as names of files, as a terminal and a log may have it.
public enum Printable {
    /// `text` with a question mark for each control character.
    public static func text(_ text: String) -> String {
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            scalars.append(isControl ? "?" : scalar)
        }
        return String(scalars)
    }

    /// `text` in lines of at most `columns` characters, broken at spaces, each but the first indented. A word
    /// that is longer stands alone.
    public static func wrapped(_ text: String, columns: Int, indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if line.isEmpty || line.allSatisfy({ $0 == " " }) {
                line += word
            } else if line.count + 1 + word.count <= columns {
                line += " \(word)"
            } else {
                lines.append(line)
                line = margin + word
            }
        }
        return (lines + [line]).joined(separator: "\n")
    }

    /// The local time of a moment, `2026-11-25 12:31:03`.
    ///
    /// - Parameter seconds: since the epoch.
    public static func localTime(_ seconds: Int) -> String {
        var moment = time_t(seconds)
        var parts = unsafe tm()
        unsafe localtime_r(&moment, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let day = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return unsafe "\(day) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}
