import ArgumentParser
import Basics
import Control
import Glibc
import Support

/// The same work on a tmpfs, on dmemfs with each engine, and on directories that are named, in one run.
///
/// What is not measured: how steady a figure is beyond its rounds (the JSON has every sample), other limits
/// and options of the mounts than those that are given, and a machine that has other work to do.
struct Mounts: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The same work on tmpfs, on dmemfs and on named directories, in ratios to tmpfs.")

    /// What --io may name. Each is tried; one that is not to be had is left out, and said.
    private static let engines = ["memory", "strict", "passthrough"]

    @Flag(help: "A fraction of the work, to see that all runs; its figures are rough.")
    var quick = false

    @Option(help: "How many rounds; in each, every workload runs once in every place.")
    var rounds: Int?

    @Option(help: "Only workloads that have this in their names; may be repeated.")
    var only: [String] = []

    /// An error where it is not to be had.
    @Option(help: "Only this engine, over io_uring where it is NAME+uring; may be repeated.")
    var engine: [String] = []

    @Option(help: "A directory on another filesystem as NAME=DIRECTORY; may be repeated.")
    var also: [String] = []

    @Option(help: "One more argument for 'dmemfs mount'; may be repeated.")
    var mountArgument: [String] = []

    @Option(help: "Also write the results to this file as JSON.")
    var json: String?

    private var roundCount: Int { rounds ?? (quick ? 1 : 5) }

    func validate() throws {
        guard roundCount > 0 else { throw ValidationError("--rounds must be above 0") }
        guard also.allSatisfy({ $0.contains("=") }) else { throw ValidationError("--also is NAME=DIRECTORY") }
    }

    func run() throws {
        let scale = quick ? Scale.quick : Scale.full
        let workloads = Workload.all(scale).filter { workload in
            only.isEmpty || only.contains { workload.name.contains($0) }
        }
        guard !workloads.isEmpty else { throw Damage("no workload has such a name") }
        let source = try Source(scale)
        defer { source.remove() }
        let places = try places(source.path)
        let result = Result {
            let samples = try measure(workloads, places)
            print(samples.table)
            if let json { try samples.writeJSON(to: json) }
        }
        // Every place is ended, whatever the others say; what went wrong first is what is told.
        let endings = places.map { place in Result { try place.end() } }
        for outcome in [result] + endings { try outcome.get() }
    }

    /// The tmpfs comes first.
    private func places(_ source: Path) throws -> [Place] {
        var places = [try Place.tmpfs("size=4g,mode=1777", from: source)]
        do {
            for name in engine.isEmpty ? Self.engines : engine {
                do {
                    let options = ["--size", "4G"] + mountArgument
                    places.append(try Place.dmemfs(engine: name, options, from: source))
                } catch {
                    if engine.contains(name) { throw error }
                    note("without the engine '\(name)': \(Self.lastLine(of: "\(error)"))")
                }
            }
            for other in also {
                let words = other.split(separator: "=", maxSplits: 1)
                places.append(try Place.other(String(words[0]), at: Path(String(words[1])), from: source))
            }
        } catch {
            for place in places { try place.end() }
            throw error
        }
        return places
    }

    private static func lastLine(of text: String) -> Substring {
        text.split(separator: "\n").last ?? ""
    }

    /// Places take turns in every workload, and another begins in each round.
    private func measure(_ workloads: [Workload], _ places: [Place]) throws -> Samples {
        var samples = Samples(workloads, places: places.map(\.name))
        for round in 0..<roundCount {
            note("round \(round + 1) of \(roundCount)")
            var firstFigure = 0
            for workload in workloads {
                for turn in places.indices {
                    let index = (turn + round) % places.count
                    try run(workload, in: places[index]) { figure, seconds in
                        samples.add(seconds, figure: firstFigure + figure, place: index)
                    }
                }
                firstFigure += workload.steps.filter(\.isMeasured).count
            }
        }
        return samples
    }

    private func run(
        _ workload: Workload, in place: Place, _ take: (_ figure: Int, _ seconds: Double) -> Void
    ) throws {
        var figure = 0
        for step in workload.steps {
            do {
                let start = ContinuousClock.now
                try step.body(place)
                let seconds = (ContinuousClock.now - start).seconds
                guard step.isMeasured else { continue }
                take(figure, seconds)
                figure += 1
            } catch {
                throw Damage("\(workload.name): \(step.name) on \(place.name): \(error)")
            }
        }
    }

    /// Progress goes where it is not in the way of the table.
    private func note(_ line: String) {
        Files.complain("dmemfs-bench: \(line)")
    }
}
