/// Steps that are done one after the other in one place, and that leave it empty.
///
/// What is not measured: the memory that it takes (`make bound` does), and anything with a disk below it.
struct Workload {
    let name: String
    /// Whether names and attributes are most of it: its figures are in the mean at the end of the table.
    let isMetadata: Bool
    let steps: [Step]

    init(_ name: String, isMetadata: Bool = false, _ steps: [Step]) {
        self.name = name
        self.isMetadata = isMetadata
        self.steps = steps
    }

    /// All of them, in the order in which they are run.
    static func all(_ scale: Scale) -> [Workload] {
        [
            sequential(scale), random(scale, clients: 1), random(scale, clients: 2),
            smallFiles(scale, clients: 1), smallFiles(scale, clients: 2), sourceTree(scale),
            repository(scale), database(scale), compiler(scale),
        ]
    }

    /// What a workload of several clients has behind the name that it has for one.
    static func suffix(_ clients: Int) -> String {
        clients == 1 ? "" : ", \(clients) clients"
    }
}

/// One step of a workload.
struct Step {
    enum Measure {
        /// So many of a unit are done: the figure is how many a second.
        case rate(amount: Double, unit: String)
        /// The figure is the time itself.
        case seconds
        /// Makes ready or clears away: no figure.
        case none
    }

    let name: String
    let measure: Measure
    let body: (Place) throws -> Void

    static func rate(
        _ name: String, _ amount: Int, _ unit: String, _ body: @escaping (Place) throws -> Void
    ) -> Step {
        Step(name: name, measure: .rate(amount: Double(amount), unit: unit), body: body)
    }

    static func seconds(_ name: String, _ body: @escaping (Place) throws -> Void) -> Step {
        Step(name: name, measure: .seconds, body: body)
    }

    static func untimed(_ body: @escaping (Place) throws -> Void) -> Step {
        Step(name: "", measure: .none, body: body)
    }

    var isMeasured: Bool {
        if case .none = measure { false } else { true }
    }

    var unit: String {
        switch measure {
        case .rate(_, let unit): unit.isEmpty ? "/s" : " \(unit)/s"
        case .seconds, .none: " s"
        }
    }

    /// The figure for a run that took this long.
    func value(seconds: Double) -> Double {
        switch measure {
        case .rate(let amount, _): amount / seconds
        case .seconds, .none: seconds
        }
    }
}

/// How much is done; the quick form shows that all works, and its figures are rough.
struct Scale {
    var largeMebibytes = 512
    var randomMebibytes = 128
    var randomReads = 200_000
    var randomWrites = 30_000
    var smallFiles = 6000
    var sourceFiles = 4000
    var transactions = 4000
    var compilations = 10

    static let full = Scale()
    static let quick = Scale(
        largeMebibytes: 32, randomMebibytes: 8, randomReads: 10_000, randomWrites: 2000, smallFiles: 600,
        sourceFiles: 200, transactions: 200, compilations: 2)
}
