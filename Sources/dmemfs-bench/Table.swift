import Glibc

/// Rows of words, printed as a table in Markdown with its columns aligned.
struct Table: CustomStringConvertible {
    private var rows: [[String]]

    init(_ titles: [String]) { rows = [titles] }

    var isEmpty: Bool { rows.count == 1 }

    mutating func add(_ words: [String]) { rows.append(words) }

    var description: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let rule = widths.indices.map { column in
            column == 0
                ? String(repeating: "-", count: widths[0])
                : String(repeating: "-", count: max(1, widths[column] - 1)) + ":"
        }
        var text = ""
        for row in [rows[0], rule] + rows.dropFirst() {
            let cells = row.enumerated().map { column, word in
                let gap = String(repeating: " ", count: max(0, widths[column] - word.count))
                return column == 0 ? word + gap : gap + word
            }
            text += "| \(cells.joined(separator: " | ")) |\n"
        }
        return text
    }
}

/// With so many places after the point.
func decimal(_ value: Double, places: Int) -> String {
    let unit = (0..<places).reduce(1) { whole, _ in whole * 10 }
    let scaled = Int((value * Double(unit)).rounded())
    if places == 0 { return "\(scaled)" }
    return "\(scaled / unit)." + String(String(unit + scaled % unit).dropFirst())
}

/// With three digits that mean something; thousands as such.
func rounded(_ value: Double) -> String {
    if value >= 1e6 { return rounded(value / 1e6) + "M" }
    if value >= 1e4 { return rounded(value / 1e3) + "k" }
    return decimal(value, places: value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 4)
}

/// The mean in which half as quick and twice as quick cancel out; nil of nothing.
func geometricMean(of values: [Double]) -> Double? {
    values.isEmpty ? nil : exp(values.reduce(0) { $0 + log($1) } / Double(values.count))
}

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
