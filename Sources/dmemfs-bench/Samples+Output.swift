import Basics
import Control
import Glibc
import Support

/// The results for people, as a table in Markdown, and for programs, as JSON.
extension Samples {
    /// The tmpfs in its own units, and every other place as a ratio to it.
    var table: String {
        var table = Table(["work", "tmpfs"] + places.dropFirst())
        for (index, figure) in figures.enumerated() {
            let value = figure.step.value(seconds: median(figure: index, place: 0))
            let ratios = places.indices.dropFirst().map {
                decimal(ratio(figure: index, place: $0), places: 2)
            }
            table.add([figure.name, rounded(value) + figure.step.unit] + ratios)
        }
        if metadataMean(place: 0) != nil {
            let means = places.indices.dropFirst().map { decimal(metadataMean(place: $0) ?? 0, places: 2) }
            table.add(["geometric mean of small files, source tree and git", ""] + means)
        }
        return "\(table)\(clients)"
    }

    /// What two at once do, where one alone does 1.
    private var clients: String {
        var table = Table(["two at once, where one does 1"] + places)
        for (index, figure) in figures.enumerated() {
            guard let alone = figures.firstIndex(where: { $0.isAlone(of: figure) }) else { continue }
            let gains = places.indices.map { place in
                let one = figures[alone].step.value(seconds: median(figure: alone, place: place))
                return decimal(
                    figure.step.value(seconds: median(figure: index, place: place)) / one, places: 2)
            }
            table.add([figure.name] + gains)
        }
        return table.isEmpty ? "" : "\n\(table)"
    }

    func writeJSON(to path: String) throws {
        let report = Report(
            places: places,
            figures: figures.indices.map { index in
                Report.Figure(
                    name: figures[index].name, unit: figures[index].step.unit,
                    places: places.indices.map { place in
                        Report.Place(
                            name: places[place], ratio: ratio(figure: index, place: place),
                            median: figures[index].step.value(seconds: median(figure: index, place: place)),
                            seconds: all(figure: index, place: place))
                    })
            })
        let file = try Kernel.open(Path(path), O_WRONLY | O_CREAT | O_TRUNC)
        let written = Result { try Files.write(try JSON.encode(report), to: file) }
        try Kernel.close(file)
        try written.get()
    }
}

extension Samples.Figure {
    /// Whether this is what one client does of what two do in `other`.
    fileprivate func isAlone(of other: Samples.Figure) -> Bool {
        step.name == other.step.name && other.workload.name == workload.name + Workload.suffix(2)
    }
}

/// What the JSON holds. `seconds` has every round; `median` is in `unit`; `ratio` is to the first place.
private struct Report: Encodable {
    struct Place: Encodable {
        let name: String
        let ratio: Double
        let median: Double
        let seconds: [Double]
    }

    struct Figure: Encodable {
        let name: String
        let unit: String
        let places: [Place]
    }

    let places: [String]
    let figures: [Figure]
}
