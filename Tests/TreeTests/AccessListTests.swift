import Accounting
import Basics
import Storage
import Support
import Testing
import Tree

@Suite("ACLs without a kernel that has looked at them")
struct AccessListTests {
    private let tree: Tree
    private let file: NodeID
    private let caller = Caller(user: 0, group: 0, process: 1)

    init() throws {
        var configuration = TreeConfiguration(limits: Limits(bytes: 4 << 20))
        configuration.usesACL = true
        let tree = try Tree(configuration)
        let caller = caller
        file = try Array("f".utf8).withRawSpan { (name) throws(Errno) in
            try tree.create(name, in: .root, mode: 0o644, exclusive: true, by: caller).node
        }
        self.tree = tree
    }

    private func set(_ value: [UInt8]) throws(Errno) {
        try AccessList.access.bytes.withRawSpan { (name) throws(Errno) in
            try value.withRawSpan { (value) throws(Errno) in
                try tree.setExtendedAttribute(name, of: file, to: value, [], by: caller)
            }
        }
    }

    /// nil where there is none.
    private func stored() throws(Errno) -> [UInt8]? {
        var bytes: [UInt8] = []
        do throws(Errno) {
            try AccessList.access.bytes.withRawSpan { (name) throws(Errno) in
                try tree.extendedAttribute(name, of: file, by: caller) { value in
                    bytes = value.copied()
                }
            }
        } catch {
            guard error == .noData else { throw error }
            return nil
        }
        return bytes
    }

    /// A good ACL, or one that was one before some of it was changed or cut off.
    private func value(_ random: inout Generator) -> [UInt8] {
        var list = AccessList(owner: random.below(8), group: random.below(8), other: random.below(8))
        for _ in 0..<random.below(4) { list.users.append((UInt32(random.below(9)), random.below(8))) }
        for _ in 0..<random.below(3) { list.groups.append((UInt32(random.below(9)), random.below(8))) }
        if random.chance(80) { list.mask = random.below(8) }
        var bytes = list.bytes
        if random.chance(50) { return bytes }
        for _ in 0..<random.below(3) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
        if random.chance(30) { bytes.removeLast(random.below(bytes.count)) }
        return bytes
    }

    @Test("one that is malformed is refused, another comes back as it was, and the mode goes with it")
    func anyBytes() throws {
        var random = Generator(seed: Generator.seed(usual: 77))
        let start = tree.usage.usedBytes
        var refused = 0
        for _ in 0..<20_000 {
            let before = (try stored(), try tree.attributes(of: file))
            let value = value(&random)
            do throws(Errno) {
                try set(value)
            } catch {
                #expect(error == .invalidArgument)
                let after = (try stored(), try tree.attributes(of: file))
                let isSame = after == before
                #expect(isSame)
                refused += 1
                continue
            }
            let mode = try tree.attributes(of: file).mode & 0o777
            let list = try stored()
            // Without a mask and names the mode says it all, and nothing is stored.
            #expect(list == (value.count > 4 + 3 * 8 ? value : nil))
            #expect(mode >> 6 == UInt32(value[6]) && mode & 7 == UInt32(value[value.count - 6]))
            var changes = AttributeChanges()
            changes.mode = UInt32(random.below(0o1000))
            let changed = try tree.setAttributes(changes, of: file).mode & 0o777
            let digits = try stored().map { UInt32($0[6]) << 6 | UInt32($0[$0.count - 6]) }
            #expect(changed == changes.mode)
            #expect(digits == nil || digits == changed & 0o707)
        }
        #expect(refused > 2000 && refused < 15_000)
        tree.checkInvariants()
        try set(AccessList(owner: 6, group: 4, other: 4).bytes)
        #expect(tree.usage.usedBytes == start)
    }
}
