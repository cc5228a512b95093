import Basics
import Support

/// The files of the project, as the tidy tests read them.
struct Repository {
    struct File: Sendable {
        /// From the top of the repository.
        let path: String
        let text: String
        var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
        /// The first two parts of the path: `Sources/Tree`.
        var room: String { path.split(separator: "/").prefix(2).joined(separator: "/") }

        func imports(_ module: String) -> Bool {
            lines.contains { line in
                let words = line.split(separator: " ")
                guard let place = words.firstIndex(of: "import"), place + 1 < words.count else {
                    return false
                }
                return line.first != " " && words[place + 1] == module
            }
        }
    }

    let top: Path
    let files: [File]

    /// Reads every file below the known directories. `#filePath` is where this file was compiled.
    init(_ here: String = #filePath) throws {
        top = Path(here.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 })
        var found: [File] = []
        for name in ["Sources", "Tests", "systemd"] where (try? Kernel.stat(top / name)) != nil {
            try Self.collect(top / name, name, into: &found)
        }
        for name in ["README.md", "Package.swift", "Makefile"] where (try? Kernel.stat(top / name)) != nil {
            found.append(File(path: name, text: try Self.read(top / name)))
        }
        files = found.sorted { $0.path < $1.path }
    }

    var swift: [File] { files.filter { $0.path.hasSuffix(".swift") } }
    var code: [File] {
        files.filter { file in [".swift", ".c", ".h", ".sh"].contains { file.path.hasSuffix($0) } }
    }

    private static func collect(_ directory: Path, _ prefix: String, into found: inout [File]) throws {
        for entry in try Kernel.list(directory) {
            let path = prefix + "/" + entry.text
            if entry.type == 4 {
                try collect(directory / entry.name, path, into: &found)
            } else {
                found.append(File(path: path, text: try read(directory / entry.name)))
            }
        }
    }

    private static func read(_ path: Path) throws -> String {
        let scratch = Scratch(path)
        defer { scratch.closeAll() }
        return try scratch.text(path)
    }
}
