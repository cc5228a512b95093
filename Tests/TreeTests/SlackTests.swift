import Accounting
import Basics
import Storage
import Support
import Testing
import Tree

@Suite("Memory that is held for nobody")
struct SlackTests {
    private static let mebibyte = 1 << 20
    private let caller = Caller(user: 0, group: 0, process: 1)

    @Test("what freed pieces hold in pages that others need is not given out a second time")
    func thinnedFiles() throws {
        let limit = 48 * Self.mebibyte
        let tree = try Tree(TreeConfiguration(limits: Limits(bytes: limit)))
        let empty = tree.usage
        let content = [UInt8](repeating: 7, count: 1000)
        let count = 25_000
        for number in 0..<count {
            let node = try Array("\(number)".utf8).withRawSpan { (name) throws(Errno) in
                try tree.create(name, in: .root, mode: 0o644, exclusive: true, by: caller).node
            }
            _ = try content.withRawSpan { (bytes) throws(Errno) in
                try tree.write(bytes, to: node, at: 0, droppingPrivileges: false)
            }
            tree.forget(node, count: 1)
        }
        for number in 0..<count where number % 4 != 0 { try remove("\(number)", tree) }
        let large = try makeLarge(tree)
        // Some 18 MiB lie in pages of which a quarter is used; all but the allowance of 6 is missing.
        let usage = tree.usage
        #expect(usage.usedBytes >= limit - 2 * Self.mebibyte)
        #expect(usage.usedBytes <= limit)
        #expect(usage.chargedBytes < limit - 8 * Self.mebibyte)
        tree.forget(large, count: 1)
        try remove("large", tree)
        for number in 0..<count where number % 4 == 0 { try remove("\(number)", tree) }
        #expect(tree.usage.usedBytes == empty.usedBytes)
        tree.checkInvariants()
    }

    private func remove(_ name: String, _ tree: Tree) throws(Errno) {
        try Array(name.utf8).withRawSpan { (name) throws(Errno) in try tree.unlink(name, in: .root) }
    }

    /// A file that takes all that there is.
    private func makeLarge(_ tree: Tree) throws -> NodeID {
        let node = try Array("large".utf8).withRawSpan { (name) throws(Errno) in
            try tree.create(name, in: .root, mode: 0o644, exclusive: true, by: caller).node
        }
        let piece = [UInt8](repeating: 1, count: 64 << 10)
        for number in 0..<10_000 {
            do throws(Errno) {
                _ = try piece.withRawSpan { (bytes) throws(Errno) in
                    try tree.write(
                        bytes, to: node, at: Int64(number * piece.count), droppingPrivileges: false)
                }
            } catch {
                #expect(error == .noSpace)
                return node
            }
        }
        Issue.record("nothing was refused")
        return node
    }
}
