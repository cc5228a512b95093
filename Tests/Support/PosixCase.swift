import Basics
import CLinux
import Glibc

/// One rule of POSIX or Linux that a filesystem answers for, as a sentence and a function.
///
/// A case knows nothing of dmemfs: the same list runs on a plain tmpfs, where every case must pass.
package struct PosixCase: Sendable, CustomStringConvertible {
    /// The paragraph of the public page (Semantics.md) that it belongs to.
    package let rule: String
    package let name: String
    package let needsRoot: Bool
    package let body: @Sendable (Scratch) throws -> Void

    package init(
        _ rule: String, _ name: String, needsRoot: Bool = false,
        _ body: @escaping @Sendable (Scratch) throws -> Void
    ) {
        self.rule = rule
        self.name = name
        self.needsRoot = needsRoot
        self.body = body
    }

    package var description: String { "\(rule): \(name)" }

    /// Runs the case in a new directory below `parent`, removes that, and returns what was violated.
    package func run(below parent: Path, index: Int) -> [String] {
        let place = parent / "case-\(index)"
        let scratch = Scratch(place)
        do {
            try Threads.alone {
                defer { scratch.closeAll() }
                try Kernel.mkdir(place, 0o777)
                try Kernel.chmod(place, 0o777)
                try body(scratch)
            }
        } catch {
            return scratch.violations + ["stopped by \(error)"]
        }
        do {
            try Self.removeAll(place)
        } catch {
            return scratch.violations + ["cleaning up: \(error)"]
        }
        return scratch.violations
    }

    /// Removes a directory with everything in it.
    package static func removeAll(_ path: Path) throws {
        for entry in try Kernel.list(path) {
            let inner = path / entry.name
            if try Kernel.lstat(inner).type == S_IFDIR {
                try removeAll(inner)
            } else {
                try Kernel.unlink(inner)
            }
        }
        try Kernel.rmdir(path)
    }
}

/// Every case, in the order of the paragraphs of Semantics.md, which `TidyTests` compares with it.
package enum PosixCases {
    package static let all: [PosixCase] = [
        names, opening, renaming, linking, special, listing, sizes, allocating, copying, mappings, times,
        permissions, privileges, xattrs, using,
    ].flatMap { $0 }
}
