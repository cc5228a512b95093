import Basics

/// At which shares of a limit somebody is told, and what is run then.
public struct ThresholdPolicy: Hashable, Sendable {
    /// In percent, ascending, each once.
    public var percents = [80, 90, 95]
    /// The path of a program; nil for none.
    public var hook: String?

    /// What a threshold must be fallen below, in points of percent, before it counts again.
    static let hysteresis = 5
    private static let choices = (hysteresis + 1)...100
    private static let mostThresholds = 8

    /// Reads `80,90,95`, which `-o` spells `80:90:95`, or `none`.
    static func percents(_ text: String) throws(QuantityError) -> [Int] {
        if text == "none" { return [] }
        var found: Set<Int> = []
        for part in text.split(whereSeparator: { $0 == "," || $0 == ":" }) {
            guard let percent = Int(part), choices.contains(percent) else {
                throw QuantityError(
                    "'\(part)' is no threshold: write percents from \(choices.lowerBound) to 100, such as "
                        + "80:90:95, or none")
            }
            found.insert(percent)
        }
        guard !found.isEmpty, found.count <= mostThresholds else {
            throw QuantityError("'\(text)' is no list of thresholds: write one such as 80:90:95, or none")
        }
        return found.sorted()
    }
}

/// How many thresholds of one limit its use has passed.
struct ThresholdLadder {
    private(set) var passed = 0

    /// Notes where the use is. Returns the thresholds that were passed upwards since, in percent.
    mutating func climb(to used: Int, reached: Int, of limit: Int?, _ percents: [Int]) -> [Int] {
        guard let limit else {
            passed = 0
            return []
        }
        while passed > 0, used < Self.amount(percents[passed - 1] - ThresholdPolicy.hysteresis, of: limit) {
            passed -= 1
        }
        var news: [Int] = []
        while passed < percents.count, max(used, reached) >= Self.amount(percents[passed], of: limit) {
            news.append(percents[passed])
            passed += 1
        }
        return news
    }

    /// Where use may be before this has to look again.
    func range(of limit: Int?, _ percents: [Int]) -> Range<Int> {
        guard let limit else { return .min ..< .max }
        let below =
            passed > 0 ? Self.amount(percents[passed - 1] - ThresholdPolicy.hysteresis, of: limit) : Int.min
        let above = passed < percents.count ? Self.amount(percents[passed], of: limit) : Int.max
        return below..<max(below, above)
    }

    /// The least that is `percent` of `limit`.
    static func amount(_ percent: Int, of limit: Int) -> Int {
        let (quotient, remainder) = 100.dividingFullWidth(limit.multipliedFullWidth(by: percent))
        return quotient + (remainder > 0 ? 1 : 0)
    }
}

/// A limit's use has passed a threshold.
struct ThresholdCrossing: Sendable {
    /// Whose limit it is.
    enum Place: Sendable {
        case mount
        /// By its path below the mount's root.
        case directory(String)
        case user(UInt32)
    }

    let percent: Int
    let countsNodes: Bool
    let place: Place
    let limit: Int
    let used: Int

    /// Empty where it is no directory's.
    var directory: String {
        if case .directory(let path) = place { path } else { "" }
    }

    /// Empty where it is no user's.
    var user: String {
        if case .user(let user) = place { "\(user)" } else { "" }
    }

    func message(on mountpoint: String) -> String {
        let (place, whose) =
            switch place {
            case .mount: (mountpoint, "its")
            case .directory(let path): ("\(mountpoint)/\(path)", "its quota of")
            case .user(let user): ("user \(user) on \(mountpoint)", "the limit of")
            }
        let most = countsNodes ? (limit == 1 ? "1 node" : "\(limit) nodes") : "\(ByteCount(limit))"
        let now = countsNodes ? "\(used)" : "\(ByteCount(used))"
        return Printable.text("\(place) has come to \(percent) % of \(whose) \(most): \(now) in use")
    }
}
