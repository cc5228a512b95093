/// Rows of words in columns, printed as they come.
struct Table {
    private let widths: [Int]

    static let patterns = Table(widths: [26, 30, 6, 9, 8, 8, 8, 8, 8, 8, 7, 5, 6])

    private init(widths: [Int]) { self.widths = widths }

    func printHeader() {
        print("sizes in MiB; growth, excess and rest count from the empty daemon")
        printRow([
            "pattern", "amount", "limit", "stored", "used", "growth", "excess", "rest", "cg.exc", "cg.rest",
            "kernel", "s", "",
        ])
    }

    func printRow(_ words: [String]) {
        var line = ""
        for (index, word) in words.enumerated() {
            let gap = String(repeating: " ", count: max(0, widths[index] - word.count))
            line += index < 2 ? word + gap + " " : gap + word + " "
        }
        print(line)
        flushOutput()
    }

    static func mebibytes(_ bytes: Int) -> String {
        if bytes == Int.min { return "-" }
        let tenths = (abs(bytes) * 10 + 1 << 19) >> 20
        return "\(bytes < 0 && tenths > 0 ? "-" : "")\(tenths / 10).\(tenths % 10)"
    }
}
