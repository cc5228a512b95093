import Basics
import CBench
import Support

/// What is measured of a subject, in the order in which it is done.
enum Operation: String, CaseIterable {
    case lookup
    case lookupAbsent = "lookup of no name"
    case attributes
    case create
    case write = "write 4 KiB, new"
    case overwrite = "write 4 KiB, over"
    case read = "read 4 KiB"
    case writeLarge = "write 1 MiB, new"
    case overwriteLarge = "write 1 MiB, over"
    case readLarge = "read 1 MiB"
    case rename
    case unlink
}

/// What one operation took, on average over a run.
struct Cost {
    /// Of the thread's processor time, so that other programs do not count.
    var nanoseconds: Double
    /// How often the heap was asked for memory.
    var allocations: Double
}

extension [Cost] {
    /// The median of the times, and the most of the allocations.
    var summary: Cost {
        Cost(
            nanoseconds: medianOf(map(\.nanoseconds)), allocations: map(\.allocations).max() ?? 0)
    }
}

/// The costs of the operations over some rounds, on average over `count` of each.
func costs(
    of subject: some Subject, _ population: Population, count: Int, rounds: Int, large: Bool
) throws -> [Operation: Cost] {
    var all: [Operation: [Cost]] = [:]
    // The first round makes what is kept for the others.
    for round in 0...rounds {
        var run = OperationRun(subject, population, count: count, seed: UInt64(round))
        try run.run(large: large)
        if round > 0 { for (operation, cost) in run.costs { all[operation, default: []].append(cost) } }
    }
    return all.mapValues(\.summary)
}

/// Does each operation `count` times on a subject whose tree holds `population`, in random places of it.
struct OperationRun<Asked: Subject> {
    private let subject: Asked
    private let population: Population
    private let count: Int
    /// Files of the population, chosen at random.
    private var chosen: [Int] = []
    private var chosenNames: Names
    /// Files of the run's own: looked for before they are made, and renamed.
    private var newNames: Names
    private var laterNames: Names
    private var nodes: [NodeID]
    private(set) var costs: [Operation: Cost] = [:]

    private static var pieceBytes: Int { 4096 }
    private static var largePieces: Int { 64 }

    init(_ subject: Asked, _ population: Population, count: Int, seed: UInt64) {
        self.subject = subject
        self.population = population
        self.count = count
        var random = Generator(seed: seed)
        chosenNames = Names(count: count)
        newNames = Names(count: count)
        laterNames = Names(count: count)
        for index in 0..<count {
            chosen.append(random.below(population.files))
            chosenNames.set(index, letter: "f", number: chosen[index])
            newNames.set(index, letter: "n", number: index)
            laterNames.set(index, letter: "r", number: index)
        }
        nodes = [NodeID](repeating: .root, count: count)
    }

    /// - Parameter large: whether pieces of 1 MiB are written and read too.
    mutating func run(large: Bool) throws(Errno) {
        try lookUp()
        try makeAndFill()
        if large { try fillLarge() }
        try renameAndRemove()
    }

    private mutating func lookUp() throws(Errno) {
        let (chosenNames, newNames) = (chosenNames, newNames)
        try measure(.lookup) { (run, index) throws(Errno) in
            run.nodes[index] = try chosenNames.withName(index) { (name) throws(Errno) in
                try run.subject.lookup(name, in: run.folder(index))
            }
        }
        try measure(.attributes) { (run, index) throws(Errno) in
            try run.subject.attributes(of: run.nodes[index])
        }
        for node in nodes { subject.forget(node) }
        try measure(.lookupAbsent) { (run, index) throws(Errno) in
            do throws(Errno) {
                _ = try newNames.withName(index) { (name) throws(Errno) in
                    try run.subject.lookup(name, in: run.folder(index))
                }
            } catch {
                guard error == .noSuchFileOrDirectory else { throw error }
                return
            }
            throw .fileExists
        }
    }

    private mutating func makeAndFill() throws(Errno) {
        let newNames = newNames
        try measure(.create) { (run, index) throws(Errno) in
            run.nodes[index] = try newNames.withName(index) { (name) throws(Errno) in
                try run.subject.create(name, in: run.folder(index))
            }
        }
        for operation in [Operation.write, .overwrite] {
            try measure(operation) { (run, index) throws(Errno) in
                try run.subject.write(Self.pieceBytes, to: run.nodes[index], at: 0)
            }
        }
        try measure(.read) { (run, index) throws(Errno) in
            try run.subject.read(Self.pieceBytes, of: run.nodes[index], at: 0)
        }
    }

    private mutating func renameAndRemove() throws(Errno) {
        let (newNames, laterNames) = (newNames, laterNames)
        try measure(.rename) { (run, index) throws(Errno) in
            try newNames.withName(index) { (name) throws(Errno) in
                try laterNames.withName(index) { (later) throws(Errno) in
                    try run.subject.rename(name, in: run.folder(index), to: later)
                }
            }
        }
        // The kernel forgets a file that it has removed: freeing it is a part of removing it.
        try measure(.unlink) { (run, index) throws(Errno) in
            try laterNames.withName(index) { (name) throws(Errno) in
                try run.subject.unlink(name, in: run.folder(index))
            }
            run.subject.forget(run.nodes[index])
        }
    }

    /// Into the first of the new files.
    private mutating func fillLarge() throws(Errno) {
        for operation in [Operation.writeLarge, .overwriteLarge] {
            try measure(operation, Self.largePieces) { (run, index) throws(Errno) in
                try run.subject.write(largestPieceBytes, to: run.nodes[0], at: index * largestPieceBytes)
            }
        }
        try measure(.readLarge, Self.largePieces) { (run, index) throws(Errno) in
            try run.subject.read(largestPieceBytes, of: run.nodes[0], at: index * largestPieceBytes)
        }
    }

    private func folder(_ index: Int) -> NodeID { population.folder(of: chosen[index]) }

    private mutating func measure(
        _ operation: Operation, _ times: Int? = nil,
        _ body: (inout OperationRun, Int) throws(Errno) -> Void
    ) throws(Errno) {
        let times = times ?? count
        let allocations = bench_allocations()
        let start = Thread.processorNanoseconds()
        for index in 0..<times { try body(&self, index) }
        let nanoseconds = Thread.processorNanoseconds() - start
        costs[operation] = Cost(
            nanoseconds: Double(nanoseconds) / Double(times),
            allocations: Double(bench_allocations() - allocations) / Double(times))
    }
}
