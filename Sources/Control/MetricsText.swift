/// Writes metrics as monitoring reads them.
public enum MetricsText {
    public enum Form: Hashable, Sendable {
        /// OpenMetrics 1.0.
        case openMetrics
        /// The text format of Prometheus, 0.0.4, which node_exporter and promtool read.
        case prometheus

        init(accepted: String) {
            self = accepted.contains("application/openmetrics-text") ? .openMetrics : .prometheus
        }

        var mediaType: String {
            switch self {
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            }
        }
    }

    package static func encoded(_ snapshot: MetricsSnapshot, as form: Form) -> [UInt8] {
        var text = ""
        let place = escaped(snapshot.status.mountpoint)
        for family in MetricFamily.all {
            let samples = family.samples(snapshot)
            let named = form == .openMetrics ? family.name : family.sampleName
            text += "# HELP \(named) \(family.help)\n# TYPE \(named) \(family.kind.rawValue)\n"
            if form == .openMetrics, let unit = family.unit { text += "# UNIT \(named) \(unit)\n" }
            for sample in samples {
                text += "\(family.sampleName)\(sample.suffix){mountpoint=\"\(place)\""
                for (name, value) in sample.labels { text += ",\(name)=\"\(escaped(value))\"" }
                text += "} \(sample.value)\n"
            }
        }
        if form == .openMetrics { text += "# EOF\n" }
        return Array(text.utf8)
    }

    private static func escaped(_ value: String) -> String {
        guard value.utf8.contains(where: { $0 == 0x5c || $0 == 0x22 || $0 == 0x0a }) else { return value }
        return value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    /// Nanoseconds as seconds, exact and without zeros at the end.
    static func seconds(_ nanoseconds: Int) -> String {
        let whole = nanoseconds / 1_000_000_000
        var digits = String(String(1_000_000_000 + nanoseconds % 1_000_000_000).dropFirst())
        while digits.hasSuffix("0") { digits.removeLast() }
        return digits.isEmpty ? "\(whole)" : "\(whole).\(digits)"
    }
}
