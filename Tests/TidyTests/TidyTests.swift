import Support
import Testing

@Suite("The style, as a test")
struct TidyTests {
    private let repository: Repository

    init() throws {
        repository = try Repository()
    }

    /// Words that no file may have, each in two pieces so that this file has none of them either.
    private static let markers = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]

    /// Files that may vouch for what the compiler cannot see, and why.
    private static let vouched: [String: String] = [
        "Sources/Basics/Lock.swift": "The lock itself: what it guards is reached only while it is held.",
        "Sources/Tree/InodeTable.swift": "Slots of raw memory; each inode is lent under its own lock.",
        "Sources/Storage/Memory.swift": "Address space handed out in pieces, each owned by one file.",
        "Sources/Fuse/Session.swift": "libfuse's session pointer, which libfuse itself guards.",
    ]

    @Test("files are at most 400 lines, lines at most 110 columns, and no white space ends them")
    func lengths() {
        for file in repository.code {
            #expect(file.lines.count <= 401, "\(file.path) has \(file.lines.count) lines")
            for (index, line) in file.lines.enumerated() {
                let place = "\(file.path):\(index + 1)"
                #expect(line.count <= 110, "\(place) has \(line.count) columns")
                #expect(line.last != " " && line.last != "\t", "\(place) ends in white space")
            }
        }
    }

    @Test("functions are at most 60 lines")
    func functions() {
        for file in repository.swift {
            let lines = file.lines
            for (start, line) in lines.enumerated() where Self.beginsFunction(line) {
                let indent = line.prefix { $0 == " " }
                // swift-format puts the closing brace under the first letter of the declaration.
                guard let end = lines[start...].dropFirst().firstIndex(of: indent + "}") else { continue }
                #expect(end - start + 1 <= 60, "\(file.path):\(start + 1): \(end - start + 1) lines")
            }
        }
    }

    private static func beginsFunction(_ line: Substring) -> Bool {
        let words = line.split(separator: " ")
        guard let place = words.firstIndex(where: { $0 == "func" || $0.hasPrefix("init(") }) else {
            return false
        }
        let modifiers: Set<Substring> = [
            "public", "package", "private", "fileprivate", "static", "mutating", "borrowing", "consuming",
            "override",
            "convenience", "nonisolated",
        ]
        return !line.hasSuffix("}")
            && words[..<place].allSatisfy { modifiers.contains($0) || $0.hasPrefix("@") }
    }

    @Test("no marker of unfinished work is left")
    func noMarkers() {
        for file in repository.files {
            for marker in Self.markers {
                #expect(!file.text.contains(marker), "\(file.path) has \(marker)")
            }
        }
    }

    @Test("nothing is forced or thrown away outside of tests, and Foundation stays out")
    func bannedWords() {
        for file in repository.swift {
            #expect(!file.imports("Foundation"), "\(file.path) imports Foundation")
            if !file.path.hasPrefix("Sources/") { continue }
            for word in [" try!", " try?", " as!"] {
                for (index, line) in file.lines.enumerated() where !Self.isComment(line) {
                    #expect(!line.contains(word), "\(file.path):\(index + 1) has \(word)")
                }
            }
        }
    }

    @Test("unsafe code is in the rooms that may have it")
    func unsafeRooms() {
        let rooms: Set<String> = [
            "Sources/Fuse", "Sources/Storage", "Sources/Basics", "Sources/Daemon", "Sources/Control",
        ]
        for file in repository.swift where file.path.hasPrefix("Sources/") {
            if rooms.contains(file.room) || file.path == "Sources/Tree/InodeTable.swift" { continue }
            for (index, line) in file.lines.enumerated() where !Self.isComment(line) {
                let words = line.split { !$0.isLetter && $0 != "_" }
                #expect(!words.contains("unsafe"), "\(file.path):\(index + 1)")
            }
        }
    }

    @Test("who vouches for what the compiler cannot see is on the list")
    func vouching() {
        let phrases = ["@unchecked " + "Sendable", "nonisolated" + "(unsafe)"]
        for file in repository.swift where file.path.hasPrefix("Sources/") {
            for phrase in phrases where file.text.contains(phrase) {
                #expect(Self.vouched[file.path] != nil, "\(file.path) has \(phrase)")
            }
        }
        let sentences = Self.vouched.values.allSatisfy { $0.hasSuffix(".") }
        #expect(sentences)
    }

    @Test("rooms import only what is below them")
    func imports() {
        let forbidden: [String: [String]] = [
            "Sources/Fuse": ["Tree", "Storage", "Accounting", "Serving", "Daemon", "Control", "Telemetry"],
            "Sources/Tree": ["Fuse", "CFuseShim", "CFuse3", "Serving", "Daemon", "Control", "Logging"],
            "Sources/Storage": ["Tree", "Fuse", "CFuseShim", "Serving", "Daemon", "Control"],
            "Sources/Accounting": ["Storage", "Tree", "Fuse", "CFuseShim", "Serving", "Daemon", "Control"],
            "Sources/Basics": [
                "Telemetry", "Accounting", "Storage", "Tree", "Fuse", "Serving", "Daemon", "Control",
            ],
            "Sources/Telemetry": [
                "Basics", "Accounting", "Storage", "Tree", "Fuse", "Serving", "Daemon", "Control",
            ],
        ]
        for file in repository.swift {
            for module in forbidden[file.room] ?? [] {
                #expect(!file.imports(module), "\(file.path) imports \(module)")
            }
            let mayUseShim = file.room == "Sources/Fuse" || file.room == "Tests/Support"
            #expect(mayUseShim || !file.imports("CFuseShim"), "\(file.path) imports CFuseShim")
        }
    }

    @Test("the top of the repository holds what it should and nothing else")
    func topLevel() throws {
        let allowed: Set<String> = ["Package.swift", "Sources", "Tests", "systemd", "README.md", "Makefile"]
        for entry in try Kernel.list(repository.top) where !entry.text.hasPrefix(".") {
            let isKnown = allowed.contains(entry.text) || entry.text == "Package.resolved"
            #expect(isKnown, "\(entry.text)")
        }
    }

    @Test("each Markdown file has one title")
    func titles() {
        for file in repository.files where file.path.hasSuffix(".md") {
            var isCode = false
            var titles = 0
            for line in file.lines {
                if line.hasPrefix("```") { isCode.toggle() }
                if !isCode && line.hasPrefix("# ") { titles += 1 }
            }
            #expect(titles == 1, "\(file.path) has \(titles) titles")
        }
    }

    private static func isComment(_ line: Substring) -> Bool {
        line.drop { $0 == " " }.hasPrefix("//")
    }
}
