import Basics
import CBench
import Glibc
import Support

/// A directory of its own on one filesystem, for the workloads to work in.
///
/// Filesystems that were mounted for it go with it.
final class Place {
    let name: String
    let directory: Path
    /// What the scripts of the workloads start from: see `Source`.
    private let source: Path
    /// The directory, open: the inner loops work below it.
    private let descriptor: Int32
    private let unmount: () throws -> Void

    /// Makes the directory below `parent`. What is at `parent` is taken away by `unmount`.
    private init(
        _ name: String, below parent: Path, from source: Path, unmount: @escaping () throws -> Void
    ) throws {
        self.name = name
        self.source = source
        self.unmount = unmount
        directory = try PlainDirectory.makeTemporary(below: parent)
        descriptor = try Kernel.open(directory, O_RDONLY | O_DIRECTORY)
    }

    /// A new tmpfs; without the right to mount one, a directory in /dev/shm.
    static func tmpfs(_ options: Path, from source: Path) throws -> Place {
        let plain = try PlainDirectory(options)
        return try Place("tmpfs", below: plain.path, from: source) { plain.remove() }
    }

    /// A new dmemfs with this engine, whose requests come through io_uring where `+uring` is behind its name.
    /// Throws what the daemon says where that is not to be had.
    static func dmemfs(engine name: String, _ options: [String], from source: Path) throws -> Place {
        let parts = name.split(separator: "+", maxSplits: 1)
        guard let engine = parts.first, parts.count == 1 || parts[1] == "uring" else {
            throw Damage("no engine is called '\(name)'")
        }
        let transport = parts.count == 1 ? [] : ["--io-uring"]
        let mount = try MountFixture(["--io", "\(engine)"] + transport + options, seconds: 24 * 3600)
        return try Place(name, below: mount.path, from: source) {
            if let trouble = mount.stop() { throw Damage("dmemfs with --io \(name): \(trouble)") }
        }
    }

    /// Any other directory, such as the mount of another filesystem.
    static func other(_ name: String, at path: Path, from source: Path) throws -> Place {
        try Place(name, below: path, from: source) {}
    }

    /// Removes the directory with all that a workload may have left in it, and what was mounted for it.
    func end() throws {
        try Kernel.close(descriptor)
        _ = try Program.run(["rm", "-rf", "\(directory)"], in: "/", seconds: 600)
        try unmount()
    }

    /// Does `count` calls of one kind, or `count` in each of several jobs at once.
    func loop(_ work: bench_work, jobs: Int = 1, _ count: Int, bytes: Int = 0) throws {
        let error = bench_run(work, descriptor, Int32(jobs), Int64(count), Int64(bytes))
        guard error == 0 else { throw Errno(rawValue: error) }
    }

    /// Runs a shell script in the directory; `$SOURCE` names what the workloads start from. Throws what it
    /// said where it fails.
    func shell(_ script: String) throws {
        let environment = ["SOURCE=\(source)", "TMPDIR=\(directory)", "GIT_OPTIONAL_LOCKS=1"]
        let result = try Program.run(
            ["sh", "-ec", script], in: directory, adding: environment, seconds: 1800)
        guard result.status == 0 else {
            let last = result.output.split(separator: "\n").last ?? "it said nothing"
            throw Damage("on \(name): '\(script)' ended with \(result.status): \(last)")
        }
    }
}

/// What went wrong, in one line.
struct Damage: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
