import Accounting
import Basics
import Storage
import Support
import Tree

/// What single things are charged, found out by making them.
struct Prices {
    private let tree: Tree

    static func printAll() throws {
        let prices = Prices(tree: try BareTree.makeTree())
        print("single things, in bytes:")
        for count in [1, 100, 1000, 2000, 4096, 10_000, 65_536, 1 << 20] {
            print("  contents of \(count): \(try prices.contents(count))")
        }
        for count in [10, 1024, 4096, 65_536] {
            print("  xattr user.a of \(count): \(try prices.xattr(count))")
        }
        for count in [20, 200, 4000] { print("  symlink target of \(count): \(try prices.symlink(count))") }
        print("  one byte at 1 TiB: \(try prices.byte(at: 1 << 40))")
    }

    private func difference(_ body: () throws -> Void) rethrows -> Int {
        let before = tree.usage.chargedBytes
        try body()
        return tree.usage.chargedBytes - before
    }

    private func file() throws -> NodeID {
        try tree.makeTemporary(in: .root, mode: 0o644, by: BareTree.caller).node
    }

    private func write(_ count: Int, to node: NodeID, at offset: Int64) throws {
        _ = try Patterns.stamp(1, count).withRawSpan { (bytes) throws(Errno) in
            try tree.write(bytes, to: node, at: offset, droppingPrivileges: false)
        }
    }

    private func contents(_ count: Int) throws -> Int {
        let node = try file()
        return try difference { try write(count, to: node, at: 0) }
    }

    private func byte(at offset: Int64) throws -> Int {
        let node = try file()
        return try difference { try write(1, to: node, at: offset) }
    }

    private func xattr(_ count: Int) throws -> Int {
        let node = try file()
        let value = Patterns.stamp(1, count)
        return try difference {
            try Array("user.a".utf8).withRawSpan { (name) throws(Errno) in
                try value.withRawSpan { (value) throws(Errno) in
                    try tree.setExtendedAttribute(name, of: node, to: value, [], by: BareTree.caller)
                }
            }
        }
    }

    /// Without the slot and the name.
    private func symlink(_ count: Int) throws -> Int {
        let folder = try BareTree.makeFolder("s\(count)", in: tree)
        let target = Patterns.stamp(1 << 40, count).map { $0 | 1 }
        func price(_ target: [UInt8]) throws -> Int {
            try difference {
                _ = try Array("l\(target.count)".utf8).withRawSpan { (name) throws(Errno) in
                    try target.withRawSpan { (target) throws(Errno) in
                        try tree.makeSymlink(name, in: folder, to: target, by: BareTree.caller)
                    }
                }
                try Array("l\(target.count)".utf8).withRawSpan { (name) throws(Errno) in
                    let node = try tree.lookup(name, in: folder).node
                    try tree.unlink(name, in: folder)
                    tree.forget(node, count: 1)
                }
            }
        }
        // The name is gone again and a lookup keeps the node: what is left is its slot and its target.
        let slot = try difference { _ = try file() }
        return try price(target) - slot
    }
}
