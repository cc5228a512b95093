/// How long each step took in each place, in each round.
struct Samples {
    /// A step that has a figure, with the name of its workload.
    struct Figure {
        let workload: Workload
        let step: Step
        var name: String { "\(workload.name): \(step.name)" }
    }

    let figures: [Figure]
    let places: [String]
    /// In seconds, by figure and by place.
    private var seconds: [[[Double]]]

    init(_ workloads: [Workload], places: [String]) {
        figures = workloads.flatMap { workload in
            workload.steps.filter(\.isMeasured).map { Figure(workload: workload, step: $0) }
        }
        self.places = places
        seconds = figures.map { _ in places.map { _ in [] } }
    }

    mutating func add(_ seconds: Double, figure: Int, place: Int) {
        self.seconds[figure][place].append(seconds)
    }

    func all(figure: Int, place: Int) -> [Double] { seconds[figure][place] }

    func median(figure: Int, place: Int) -> Double { medianOf(seconds[figure][place]) }

    /// How quick a place is in a figure where the first place, the tmpfs, is 1; above 1 is quicker.
    func ratio(figure: Int, place: Int) -> Double {
        median(figure: figure, place: 0) / median(figure: figure, place: place)
    }

    /// The geometric mean of a place's ratios in the figures of names and attributes.
    func metadataMean(place: Int) -> Double? {
        let wanted = figures.indices.filter { figures[$0].workload.isMetadata }
        return geometricMean(of: wanted.map { ratio(figure: $0, place: place) })
    }
}

/// The middle one of the sorted values, or the mean of the middle two.
func medianOf(_ values: [Double]) -> Double {
    precondition(!values.isEmpty, "there is no middle of nothing")
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
