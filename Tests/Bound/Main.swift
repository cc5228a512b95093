import Basics
import Glibc
import Support

/// Shows that what a mount holds in memory stays within what it says it uses: every pattern on a real mount
/// of the built program, with a limit that suffices and with one that does not, and the bare tree.
///
/// `--quick` is a scaled form; `--only WORD` runs what has the word in its name. Ends with 1 where a bound
/// is broken.
@main
enum Main {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == BareTree.argument { return try BareTree.main(Array(arguments.dropFirst())) }
        let isQuick = arguments.contains("--quick")
        let only = arguments.firstIndex(of: "--only").map { arguments[$0 + 1] }
        var faults = try runBare(isQuick: isQuick, only)
        if MountFixture.canMount { faults += runMounts(isQuick: isQuick, only) }
        for fault in faults { print("BROKEN: \(fault)") }
        print(faults.isEmpty ? "every bound holds" : "\(faults.count) bounds are broken")
        flushOutput()
        exit(faults.isEmpty ? 0 : 1)
    }

    private static func isWanted(_ name: String, _ only: String?) -> Bool {
        only.map { name.contains($0) } ?? true
    }

    /// What needs no mount, each in a process of its own: another's memory would blur the figures.
    private static func runBare(isQuick: Bool, _ only: String?) throws -> [String] {
        var faults: [String] = []
        for name in BareTree.names where isWanted(name, only) {
            let command = ["/proc/self/exe", BareTree.argument, name, isQuick ? "quick" : "full"]
            let result = try Program.run(command, in: "/", seconds: 1200)
            print(result.output)
            flushOutput()
            if result.status != 0 { faults.append("\(name) ended with \(result.status)") }
        }
        return faults
    }

    private static func runMounts(isQuick: Bool, _ only: String?) -> [String] {
        var faults: [String] = []
        let seconds = isQuick ? 300 : 3600
        Table.patterns.printHeader()
        for pattern in Patterns.all(isQuick: isQuick) where isWanted(pattern.name, only) {
            do {
                let ample = try Runner(pattern, seconds: seconds).run(limitBytes: nil)
                Table.patterns.printRow(ample.row)
                faults += ample.faults.map { "\(pattern.name): \($0)" }
                let half = max(64 << 10, ample.usedBytes / 2) & ~4095
                let tight = try Runner(pattern, seconds: seconds).run(limitBytes: half)
                Table.patterns.printRow(tight.row)
                faults += tight.faults.map { "\(pattern.name), limit \(half): \($0)" }
            } catch {
                faults.append("\(pattern.name): \(error)")
            }
        }
        if isWanted("address space", only) { faults += AddressSpace.run() }
        return faults
    }
}
