import Accounting
import Basics
import Serving
import Storage
import Tree

/// Requests whose frames are well formed and whose every field may be anything, to a tree behind libfuse.
///
/// After each the answer must be one that its operation may give; now and then, and at the end, the tree must
/// not contradict itself. In the end everything is forgotten and removed, and use must be what it was.
package struct HostileRun {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    let tree: Tree
    let loopback: Loopback
    var dice: HostileDice
    private let start: Usage
    /// By opcode and errno, how many answers there were: 0 for success.
    package private(set) var answers: [Opcode: [Int32: Int]] = [:]

    /// - Parameter seed: gives the whole sequence, limits and storage kind included.
    package init(seed: UInt64) throws {
        var random = Generator(seed: seed)
        let nodes = random.chance(50) ? 20 + random.below(400) : nil
        var limits = Limits(bytes: (256 << 10) << random.below(8), nodes: nodes)
        limits.nodeLimitErrno = random.pick([.tooManyOpenFiles, .noSpace, .diskQuotaExceeded])
        let kind: StoragePolicy.Kind = random.pick([.auto, .auto, .randomAccess, .sequential])
        var configuration = TreeConfiguration(limits: limits, storage: StoragePolicy(kind: kind))
        // Names whose hashes collide are nothing special.
        if random.chance(50) { configuration.nameHashBits = random.below(8) }
        tree = try Tree(configuration)
        start = tree.usage
        let user: UInt32 = random.chance(50) ? 0 : 1000
        loopback = try Loopback(
            serving: TreeServer(tree), answersOpen: kind == .sequential,
            caller: Caller(user: user, group: user, process: 4242))
        _ = loopback.initialize()
        dice = HostileDice(random)
    }

    /// Sends that many requests, and takes all away again.
    package mutating func run(requests: Int) throws {
        for number in 0..<requests {
            let opcode = dice.random.pick(HostileDice.mix)
            if let answer = send(opcode) { try check(answer, to: opcode, number) }
            let usage = tree.usage
            guard usage.chargedBytes <= usage.limitBytes, usage.reservedBytes == 0, usage.dataBytes >= 0
            else {
                throw Failure(description: "after request \(number), \(opcode): \(usage)")
            }
            if number % 1000 == 0 { tree.checkInvariants() }
        }
        tree.checkInvariants()
        try removeAll()
    }

    private mutating func send(_ opcode: Opcode) -> Answer? {
        let answer = loopback.send(opcode.rawValue, node: dice.subject(of: opcode), dice.body(of: opcode))
        if opcode == .initialize {
            if dice.random.chance(10) { endConnection() }
        } else if let answer, answer.error == 0 {
            dice.learn(from: answer, to: opcode)
        }
        return answer
    }

    /// DESTROY; what the kernel never sends behind it. Whether libfuse then wants an INIT depends on its
    /// version.
    private func endConnection() {
        _ = loopback.send(38)
        let error = loopback.getattr(1).error
        precondition(error == 0 || error == 5 && loopback.initialize().error == 0, "after DESTROY: \(error)")
    }

    private mutating func check(_ answer: Answer, to opcode: Opcode, _ number: Int) throws {
        answers[opcode, default: [:]][answer.error, default: 0] += 1
        if answer.error == 0 || HostileDice.isSane(answer.error, for: opcode) { return }
        throw Failure(description: "request \(number): \(opcode) was answered with errno \(answer.error)")
    }

    /// Forgets every node as often as can be, and removes every name.
    private mutating func removeAll() throws {
        for node in dice.everSeen where node != 1 { loopback.forget(node, count: .max) }
        try empty(1)
        try removeXattrs(of: 1)
        for node in dice.everSeen where node != 1 { loopback.forget(node, count: .max) }
        tree.checkInvariants()
        let end = tree.usage
        guard end.chargedBytes == start.chargedBytes, end.nodes == 1, end.openUnlinkedBytes == 0 else {
            throw Failure(description: "something is left: \(end), where there was \(start)")
        }
    }

    private func removeXattrs(of node: UInt64) throws {
        let names = loopback.listxattr(node, count: 1 << 16)
        for name in names.payload.split(separator: 0) {
            let answer = loopback.ask(.removexattr, node: node, Array(name) + [0])
            guard answer.error == 0 else { throw Failure(description: "an xattr stays: \(answer.error)") }
        }
    }

    private mutating func empty(_ directory: UInt64) throws {
        while true {
            let listing = loopback.readdir(directory, count: 1 << 17)
            guard listing.error == 0 else { throw Failure(description: "a listing failed: \(listing.error)") }
            let names = WireDirectoryEntry.list(listing.payload, plus: false).filter { !$0.isDots }
            if names.isEmpty { return }
            for entry in names { try remove(entry, from: directory) }
        }
    }

    private mutating func remove(_ entry: WireDirectoryEntry, from directory: UInt64) throws {
        let name = entry.name + [0]
        var answer = loopback.ask(.unlink, node: directory, name)
        if answer.error == 21 {
            let found = loopback.ask(.lookup, node: directory, name)
            try empty(found.entry.node)
            answer = loopback.ask(.rmdir, node: directory, name)
            loopback.forget(found.entry.node)
        }
        guard answer.error == 0 else { throw Failure(description: "a removal failed: \(answer.error)") }
    }
}

extension WireDirectoryEntry {
    fileprivate var isDots: Bool { name == [46] || name == [46, 46] }
}
