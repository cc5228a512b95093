import Accounting
import ArgumentParser
import Basics
import Storage
import Tree

/// What quotas within one another cost a write that makes a file grow, and the life of a small file.
///
/// Not measured: a mount, whose round trips are far dearer, and threads that share a level.
struct QuotaCost: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota",
        abstract: "ns per 4 KiB write and per small file on the bare tree, by levels of quotas.")

    @Option(help: "How many rounds; the kinds take turns in each.")
    var rounds = 20

    @Option(help: "How many writes a round and kind.")
    var writes = 16_384

    @Option(help: "How many small files a round and kind.")
    var files = 8192

    @Option(help: "Fail where the ratio of three levels to none is below, in percent; 0 for never.")
    var atLeast = 0

    private static let pageBytes = 4096
    private static let turns = 64
    private static let levels = [0, 1, 3]
    private static let caller = Caller(user: 0, group: 0, process: 0)

    func validate() throws {
        guard rounds > 0, writes > 0, writes % Self.turns == 0, files > 0, files % Self.turns == 0 else {
            throw ValidationError("rounds must be above 0, writes and files multiples of \(Self.turns)")
        }
    }

    /// A directory below so many quotas, in a tree of its own.
    private struct Place {
        var tree: Tree
        var directory = NodeID.root
        var file = NodeID.root
    }

    func run() throws {
        var isGood = true
        for (name, keptBytes) in [("fresh pages", 8 << 20), ("kept pages", writes * Self.pageBytes * 2)] {
            try report("4 KiB writes, \(name)", writes, keeping: keptBytes, &isGood) {
                (turn, place) throws(Errno) in
                try write(turn, &place)
            }
        }
        try report("small files, made, written and removed", files, keeping: 8 << 20, &isGood) {
            (turn, place) throws(Errno) in
            try makeFiles(turn, place)
        }
        if !isGood { throw ExitCode.failure }
    }

    /// Runs the kinds in turns, in new trees each round, since where their memory lies counts for more than
    /// the quotas; and prints the medians of this thread's processor time: nothing here waits.
    private func report(
        _ what: String, _ count: Int, keeping keptBytes: Int, _ isGood: inout Bool,
        _ body: (Int, inout Place) throws(Errno) -> Void
    ) throws {
        var times = Self.levels.map { _ in [Int]() }
        for round in 0..<rounds {
            var places: [Place?] = Self.levels.map { _ in nil }
            for step in Self.levels.indices {
                let index = (round + step) % Self.levels.count
                places[index] = try place(Self.levels[index], keeping: keptBytes)
            }
            var nanoseconds = Self.levels.map { _ in 0 }
            // Once to warm up.
            for isMeasured in [false, true] {
                for turn in 0..<Self.turns {
                    for step in Self.levels.indices {
                        let index = (turn + step) % Self.levels.count
                        guard var place = places[index] else { continue }
                        let start = Thread.processorNanoseconds()
                        try body(turn, &place)
                        if isMeasured { nanoseconds[index] += Thread.processorNanoseconds() - start }
                        places[index] = place
                    }
                }
            }
            for index in times.indices { times[index].append(nanoseconds[index] / count) }
        }
        let medians = times.map { $0.sorted()[$0.count / 2] }
        let figures = zip(Self.levels, medians).map { level, nanoseconds in
            let ratio = medians[0] * 1000 / max(1, nanoseconds)
            return "\(level) levels \(nanoseconds) ns (\(ratio / 10).\(ratio % 10) %)"
        }
        isGood = isGood && medians[0] * 100 >= atLeast * medians[medians.count - 1]
        print("\(what): \(figures.joined(separator: ", ")) (medians of \(rounds) rounds)")
    }

    private func place(_ levels: Int, keeping bytes: Int) throws(Errno) -> Place {
        let limit = writes * Self.pageBytes * 2 + (64 << 20)
        var place = Place(
            tree: try Tree(
                TreeConfiguration(
                    limits: Limits(bytes: limit), storage: StoragePolicy(keptFreeBytes: bytes))))
        // The same depth of directories, whatever the quotas.
        for level in 1...3 {
            place.directory = try Array("d".utf8).withRawSpan { (name) throws(Errno) in
                try place.tree.makeDirectory(name, in: place.directory, mode: 0o755, by: Self.caller).node
            }
            guard level <= levels else { continue }
            var request = QuotaRequest()
            request.bytes = .to(limit)
            request.nodes = .to(1 << 20)
            do throws(QuotaRefusal) {
                _ = try place.tree.setQuota(of: place.directory, to: request)
            } catch {
                throw .invalidArgument
            }
        }
        return place
    }

    private func write(_ turn: Int, _ place: inout Place) throws(Errno) {
        let tree = place.tree
        let name = Array("file".utf8)
        let page = [UInt8](repeating: 1, count: Self.pageBytes)
        if turn == 0 {
            place.file = try name.withRawSpan { [place] (name) throws(Errno) in
                try tree.create(name, in: place.directory, mode: 0o600, exclusive: true, by: Self.caller).node
            }
        }
        let count = writes / Self.turns
        try page.withRawSpan { [place] (bytes) throws(Errno) in
            for index in turn * count..<(turn + 1) * count {
                _ = try tree.write(
                    bytes, to: place.file, at: Int64(index * Self.pageBytes), droppingPrivileges: false)
            }
        }
        guard turn == Self.turns - 1 else { return }
        try name.withRawSpan { [place] (name) throws(Errno) in try tree.unlink(name, in: place.directory) }
        tree.forget(place.file, count: 1)
    }

    private func makeFiles(_ turn: Int, _ place: Place) throws(Errno) {
        let tree = place.tree
        let content = [UInt8](repeating: 1, count: 100)
        let count = files / Self.turns
        for index in 0..<count {
            try Array("file\(turn)-\(index)".utf8).withRawSpan { (name) throws(Errno) in
                let file = try tree.create(
                    name, in: place.directory, mode: 0o600, exclusive: true, by: Self.caller
                ).node
                try content.withRawSpan { (bytes) throws(Errno) in
                    _ = try tree.write(bytes, to: file, at: 0, droppingPrivileges: false)
                }
                try tree.unlink(name, in: place.directory)
                tree.forget(file, count: 1)
            }
        }
    }
}
