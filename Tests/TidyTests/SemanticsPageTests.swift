import Support
import Testing

/// The public page of semantics and the tests, held against each other.
@Suite("The page of semantics")
struct SemanticsPageTests {
    private let repository: Repository
    /// The identifiers of the page, in its order.
    private let rules: [String]

    init() throws {
        repository = try Repository()
        let page = repository.files.first { $0.path == "Sources/Tree/Tree.docc/Semantics.md" }
        let paragraphs = (page?.lines ?? []).filter { $0.hasPrefix("* ") }
        rules = paragraphs.map { line in
            line.hasPrefix("* `") ? String(line.dropFirst(3).prefix { $0 != "`" }) : "none in: \(line)"
        }
    }

    @Test("each paragraph has an identifier of its own, and begins with it")
    func identifiers() {
        #expect(rules.count > 50)
        #expect(Set(rules).count == rules.count)
        for rule in rules {
            let parts = rule.split(separator: ".", omittingEmptySubsequences: false)
            let isWord = parts.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0.isLetter && $0.isLowercase } }
            #expect(parts.count == 2 && isWord, "\(rule)")
        }
    }

    @Test("each paragraph has a test, and each test of a rule has a paragraph")
    func coverage() {
        let cases = PosixCases.all + PosixCases.accessLists + PosixCases.beyondTmpfs
        let tested = Set(cases.map(\.rule)).union(namedAboveTests())
        let untested = Set(rules).subtracting(tested).sorted()
        let unwritten = tested.subtracting(rules).sorted()
        #expect(untested == [], "paragraphs that no test names")
        #expect(unwritten == [], "rules that tests name and the page has not")
    }

    @Test(
        "the cases follow the page paragraph by paragraph",
        arguments: [PosixCases.all, PosixCases.accessLists, PosixCases.beyondTmpfs])
    func order(cases: [PosixCase]) {
        let places = cases.map { rules.firstIndex(of: $0.rule) ?? -1 }
        for (index, pair) in zip(places, places.dropFirst()).enumerated() where pair.0 > pair.1 {
            Issue.record("\"\(cases[index + 1].name)\" stands behind \"\(cases[index].name)\"")
        }
    }

    @Test("what differs from tmpfs is in no case that tmpfs must pass")
    func differences() {
        let page = repository.files.first { $0.path == "Sources/Tree/Tree.docc/Semantics.md" }
        let differing = zip(rules, (page?.lines ?? []).filter { $0.hasPrefix("* ") }).filter {
            $0.1.contains("**differs**")
        }.map(\.0)
        #expect(differing.count > 10)
        let wrong = Set(PosixCases.all.map(\.rule)).intersection(differing)
        #expect(wrong == [])
        let unmarked = Set(PosixCases.beyondTmpfs.map(\.rule)).subtracting(differing)
        #expect(unmarked == [])
    }

    /// The identifiers in lines `/// Rule: a, b` that stand directly above a test.
    private func namedAboveTests() -> Set<String> {
        var found: Set<String> = []
        let mark = "/// Rule: "
        for file in repository.swift where file.path.hasPrefix("Tests/") {
            for (line, next) in zip(file.lines, file.lines.dropFirst()) {
                let text = line.drop { $0 == " " }
                guard text.hasPrefix(mark), next.drop(while: { $0 == " " }).hasPrefix("@Test") else {
                    continue
                }
                found.formUnion(text.dropFirst(mark.count).split(separator: ", ").map(String.init))
            }
        }
        return found
    }
}
