import ArgumentParser
import Basics
import Daemon
import Glibc
import Support

/// How long `dmemfs top` takes on a mount of many files, and how much slower a writer is meanwhile.
///
/// The writer makes a file, writes 4 KiB to it and removes it, again and again; it, `top` and the daemon
/// share the machine's processors, which counts as well.
struct TopCost: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top-cost", abstract: "The time of 'dmemfs top', and how much it slows a writer.")

    @Option(help: "How many files, a thousand a directory.")
    var files = 1_000_000

    @Option(help: "How many rounds, each one while top runs and one of the same time without; medians count.")
    var rounds = 11

    private static let filesPerFolder = 1000
    private static let piece = [UInt8](repeating: 1, count: 4096)

    func validate() throws {
        guard files > 0, rounds > 0 else { throw ValidationError("--files and --rounds must be above 0") }
    }

    func run() throws {
        try MountFixture.use(["--size", "8G"], seconds: 4 * 3600) { mount in
            for folder in 0..<max(1, files / Self.filesPerFolder) {
                try Kernel.mkdir(mount.path / "d\(folder)")
                for file in 0..<min(files, Self.filesPerFolder) {
                    try Kernel.mknod(mount.path / "d\(folder)/f\(file)", 0o100644)
                }
            }
            try measure(mount)
        }
    }

    private func measure(_ mount: MountFixture) throws {
        var times: [Double] = []
        var ratios: [Double] = []
        var rates: [Double] = []
        let before = try mount.status().number("resident_bytes")
        for _ in 0..<rounds {
            let clock = ContinuousClock()
            let start = clock.now
            let child = try Program.start(
                [MountFixture.program(), "top", "\(mount.path)", "--json"], in: "/",
                output: Program.temporaryFile())
            guard let watch = ProcessWatch(child) else { throw Damage("top ended at once") }
            var busy = 0
            while !watch.awaitEnd(milliseconds: 0) { busy += try write(mount.path) }
            let time = seconds(clock.now - start)
            guard try Program.wait(for: child, seconds: 60) == 0 else { throw Damage("top failed") }
            let quietStart = clock.now
            var quiet = 0
            while seconds(clock.now - quietStart) < time { quiet += try write(mount.path) }
            let quietTime = seconds(clock.now - quietStart)
            times.append(time)
            rates.append(Double(quiet) / quietTime)
            ratios.append(Double(busy) / time / (Double(quiet) / quietTime))
        }
        let after = try mount.status().number("resident_bytes")
        print(
            """
            top of \(try mount.status().number("nodes")) nodes: \(decimal(medianOf(times), places: 2)) s, \
            at the most \(Program.largestChildBytes() >> 20) MiB; \
            the daemon's memory grew by \(after - before) bytes
            a writer's files a second: \(decimal(medianOf(rates), places: 0)), while top works \
            \(decimal(medianOf(ratios), places: 2)) of that
            """)
    }

    private func write(_ place: Path) throws -> Int {
        let name = place / "writer"
        let file = try Kernel.open(name, O_WRONLY | O_CREAT)
        _ = try Kernel.write(file, Self.piece)
        try Kernel.close(file)
        try Kernel.unlink(name)
        return 1
    }

    private func seconds(_ duration: Duration) -> Double {
        let (seconds, attoseconds) = duration.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
