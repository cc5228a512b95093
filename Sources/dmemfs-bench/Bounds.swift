import ArgumentParser
import Basics
import CBench
import Glibc
import Support

/// What bounds a FUSE filesystem on this machine: the parts that a request is made of whoever serves it, each
/// by itself, and what share of a tmpfs's speed they leave.
///
/// Not measured: FUSE itself, libfuse and the tree. What a mount reaches beside this is theirs.
struct Bounds: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What the parts of a request take without FUSE, and the most that they leave of a tmpfs.")

    @Option(help: "How many rounds; all parts take turns in each.")
    var rounds = 9

    @Option(help: "How many MiB are written or copied in a round.")
    var mebibytes = 256

    @Option(help: "How many times two threads wake each other in a round.")
    var turns = 20_000

    private static let parts: [(part: bench_part, name: String, isTurn: Bool)] = [
        (bench_part_write, "tmpfs: write 1 MiB of a new file", false),
        (bench_part_reserved_write, "tmpfs: reserve 1 MiB of a new file, then write it", false),
        (bench_part_copy, "copy 1 MiB between buffers in use", false),
        (bench_part_copy_to_fresh, "copy 1 MiB to fresh memory", false),
        (bench_part_turn, "wake another thread and be woken", true),
        (bench_part_turn_on_one, "the same, both on one processor", true),
    ]

    func validate() throws {
        guard rounds > 0, mebibytes > 0, turns > 0 else {
            throw ValidationError("--rounds, --mebibytes and --turns must be above 0")
        }
    }

    func run() throws {
        let plain = try PlainDirectory(Path("size=\(mebibytes + 64)M"))
        defer { plain.remove() }
        let directory = try Kernel.open(plain.path, O_RDONLY | O_DIRECTORY)
        defer { _ = Glibc.close(directory) }
        var samples = Self.parts.map { _ in [Double]() }
        // The first round brings the machine's memory into use.
        for round in 0...rounds {
            for index in Self.parts.indices {
                let count = Self.parts[index].isTurn ? turns : mebibytes
                let time = bench_bound(Self.parts[index].part, directory, Int64(count))
                guard time >= 0 else { throw Errno(rawValue: Int32(-time)) }
                if round > 0 { samples[index].append(Double(time) / 1000 / Double(count)) }
            }
        }
        report(samples.map { medianOf($0) })
    }

    private func report(_ microseconds: [Double]) {
        var table = Table(["a part of a request", "us"])
        for (part, time) in zip(Self.parts, microseconds) {
            table.add([part.name, decimal(time, places: 1)])
        }
        print(table)
        let (write, reserved, copy, fresh) = (
            microseconds[0], microseconds[1], microseconds[2], microseconds[3]
        )
        let turn = microseconds[5]
        var bounds = Table(["a large new file, in requests of 1 MiB", "at most, of tmpfs"])
        // The kernel's page cache is filled as a tmpfs is, then the request is read, then the bytes are kept.
        bounds.add(["memory, one after the other", decimal(write / (write + copy + fresh + turn), places: 2)])
        bounds.add([
            "memory, where fresh pages are ready", decimal(write / (write + 2 * copy + turn), places: 2),
        ])
        // There is no page cache before it: the request is read, and then written to the tmpfs behind.
        bounds.add(["strict, reserved first", decimal(write / (copy + reserved + turn), places: 2)])
        bounds.add(["strict, written at once", decimal(write / (copy + write + turn), places: 2)])
        print(bounds)
    }
}
