import Basics
import Glibc
import Support

/// Shows that what a mount holds in memory stays within what it says it uses: every pattern on a real mount
/// of the built program, with a limit that suffices and with one that does not, and the bare tree.
///
/// `--quick` is a scaled form; `--only WORD` runs what has the word in its name; `--engine memory` or
/// `strict` runs one engine, where it is else both, if the machine offers them. Ends with 1 where a bound is
/// broken, or an engine that is asked for cannot be had, and with 64 where it is asked for anything else.
@main
enum Main {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == BareTree.argument { return try BareTree.main(Array(arguments.dropFirst())) }
        let (isQuick, only, asked) = wishes(Array(arguments))
        var faults: [String] = []
        // Says why where one cannot be had.
        let offered = MountFixture.ledgerEngines
        if let asked, !offered.contains(asked) {
            faults.append("the engine \(asked) cannot be had here")
        }
        let engines = asked.map { [$0] } ?? ["memory", "strict"]
        for engine in engines {
            faults += try runBare(BareTree.names(engine), isQuick: isQuick, only)
            if offered.contains(engine) { faults += runMounts(engine, isQuick: isQuick, only) }
        }
        for fault in faults { print("BROKEN: \(fault)") }
        print(faults.isEmpty ? "every bound holds" : "\(faults.count) bounds are broken")
        flushOutput()
        exit(faults.isEmpty ? 0 : 1)
    }

    private static func wishes(_ arguments: [String]) -> (isQuick: Bool, only: String?, engine: String?) {
        var isQuick = false
        var (only, engine): (String?, String?)
        var rest = arguments[...]
        while let word = rest.popFirst() {
            switch (word, rest.first) {
            case ("--quick", _): isQuick = true
            case ("--only", let value?): only = value
            case ("--engine", let value?) where ["memory", "strict"].contains(value): engine = value
            default:
                print("dmemfs-bound: '\(word)' is none of --quick, --only WORD, --engine memory|strict")
                exit(64)
            }
            if word != "--quick" { rest.removeFirst() }
        }
        return (isQuick, only, engine)
    }

    private static func isWanted(_ name: String, _ only: String?) -> Bool {
        only.map { name.contains($0) } ?? true
    }

    /// What needs no mount, each in a process of its own: another's memory would blur the figures.
    private static func runBare(
        _ names: [String], isQuick: Bool, _ only: String?
    ) throws -> [String] {
        var faults: [String] = []
        for name in names where isWanted(name, only) {
            let command = ["/proc/self/exe", BareTree.argument, name, isQuick ? "quick" : "full"]
            let result = try Program.run(command, in: "/", seconds: 1200)
            print(result.output)
            flushOutput()
            if result.status != 0 { faults.append("\(name) ended with \(result.status)") }
        }
        return faults
    }

    private static func runMounts(_ engine: String, isQuick: Bool, _ only: String?) -> [String] {
        var faults: [String] = []
        let seconds = isQuick ? 300 : 3600
        print("engine \(engine)")
        Table.patterns.printHeader()
        for pattern in Patterns.all(isQuick: isQuick) where isWanted(pattern.name, only) {
            do {
                let ample = try Runner(pattern, engine, seconds: seconds).run(limitBytes: nil)
                Table.patterns.printRow(ample.row)
                faults += ample.faults.map { "\(engine), \(pattern.name): \($0)" }
                let half = max(64 << 10, ample.usedBytes / 2) & ~4095
                let tight = try Runner(pattern, engine, seconds: seconds).run(limitBytes: half)
                Table.patterns.printRow(tight.row)
                faults += tight.faults.map { "\(engine), \(pattern.name), limit \(half): \($0)" }
            } catch {
                faults.append("\(engine), \(pattern.name): \(error)")
            }
        }
        if isWanted("address space", only) { faults += AddressSpace.run(engine) }
        return faults
    }
}
