import Basics
import Support

/// What the workloads start from, made anew in each run and the same in each: a tree of text files as a tar
/// archive and as a repository, statements for SQLite, a unit for gcc. It lies on a tmpfs of its own.
final class Source {
    var path: Path { plain.path }
    private let plain: PlainDirectory

    private static let folders = 200

    init(_ scale: Scale) throws {
        plain = try PlainDirectory("size=4g,mode=1777")
        do {
            try makeTree(files: scale.sourceFiles)
            try makeStatements(scale.transactions)
            try Self.store(plain.path / "unit.c", Self.unit)
            try Self.run(
                """
                tar cf tree.tar tree
                cd tree
                git init -q
                git add .
                git -c user.name=bench -c user.email=bench@example.org commit -q -m tree
                git repack -adq
                """, in: plain.path)
        } catch {
            plain.remove()
            throw error
        }
    }

    func remove() { plain.remove() }

    /// Sizes are spread as those of headers are: half are below 4 KiB, the mean is 12 KiB, the largest
    /// 64 KiB.
    private func makeTree(files: Int) throws {
        let tree = plain.path / "tree"
        try Kernel.mkdir(tree)
        var random = Generator(seed: 1)
        for file in 0..<files {
            let folder = tree / "folder\(file % Self.folders)"
            if file < Self.folders { try Kernel.mkdir(folder) }
            let base = 256 << random.below(8)
            let text = Self.text(of: base + random.below(base), &random)
            try Self.store(folder / "file\(file).h", text)
        }
    }

    private static func text(of bytes: Int, _ random: inout Generator) -> [UInt8] {
        let words = [
            "struct", "inode", "int", "return", "const", "char", "*name;", "size_t", "(", ")", "{", "}",
        ]
        var text: [UInt8] = []
        text.reserveCapacity(bytes + 128)
        while text.count < bytes {
            for _ in 0..<8 { text += Array("\(words[random.below(words.count)]) ".utf8) }
            text += Array("\(random.below(1 << 20))\n".utf8)
        }
        return Array(text.prefix(bytes))
    }

    private func makeStatements(_ count: Int) throws {
        var lines = "CREATE TABLE rows (number INTEGER PRIMARY KEY, value TEXT);\n"
        for number in 0..<count {
            lines +=
                "INSERT INTO rows VALUES (\(number), 'the value of row number \(number), of some length');\n"
        }
        try Self.store(plain.path / "transactions.sql", Array(lines.utf8))
    }

    private static let unit = Array(
        """
        #include <errno.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>

        int main(int count, char **words) {
            for (int word = 1; word < count; word++) printf("%s: %zu\\n", words[word], strlen(words[word]));
            return EXIT_SUCCESS;
        }

        """.utf8)

    private static func store(_ path: Path, _ bytes: [UInt8]) throws {
        let scratch = Scratch(path)
        defer { scratch.closeAll() }
        try scratch.make(path, bytes)
    }

    private static func run(_ script: String, in directory: Path) throws {
        let result = try Program.run(["sh", "-ec", script], in: directory, seconds: 600)
        guard result.status == 0 else { throw Damage("making the source tree: \(result.output)") }
    }
}
