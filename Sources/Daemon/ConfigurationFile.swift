import Basics

/// A file of settings, one a line: `size = 2G`, or a bare word as `-o` takes it; `#` begins a comment.
public struct ConfigurationFile: Hashable, Sendable {
    public let path: String
    /// Whether it may be missing, which is then as if it were empty.
    public let isOptional: Bool

    /// - Parameter path: made absolute, since a daemon leaves the folder that it was started in.
    public init(_ path: String, isOptional: Bool) throws(Failure) {
        self.isOptional = isOptional
        guard !path.hasPrefix("/") else {
            self.path = path
            return
        }
        do throws(Errno) {
            self.path = "\(try Files.workingFolder())/\(path)"
        } catch {
            throw Failure(.usage, "cannot tell where \(path) is: \(Wording.of(error))")
        }
    }

    /// What it says now.
    func settings() throws(Failure) -> [Setting] {
        let text: String
        do throws(Errno) {
            text = try Files.text(of: path)
        } catch {
            if isOptional, error == .noSuchFileOrDirectory { return [] }
            throw Failure(.usage, "cannot read \(path): \(Wording.of(error))")
        }
        var settings: [Setting] = []
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let content = Self.trimmed(line.prefix { $0 != "#" })
            guard !content.isEmpty else { continue }
            let parts = content.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            settings.append(
                Setting(
                    name: String(Self.trimmed(parts[0])),
                    value: parts.count == 2 ? String(Self.trimmed(parts[1])) : nil,
                    spelling: "\(path):\(index + 1): \(Self.trimmed(parts[0]))"))
        }
        return settings
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let isBlank = { (character: Character) in character == " " || character == "\t" || character == "\r" }
        var text = text.drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }
}

/// Where settings come from, the weakest first: the configuration file, the environment, the command line.
enum Precedence {
    /// The settings that hold: of each word the strongest source that has it.
    static func merged(_ sources: [[Setting]]) -> [Setting] {
        var merged: [Setting] = []
        for source in sources {
            let names = Set(source.map { OptionList.canonical($0.name) })
            merged.removeAll { names.contains(OptionList.canonical($0.name)) }
            merged += source
        }
        return merged
    }

    /// What the environment sets, such as `DMEMFS_SIZE` for `size`.
    static func environment() -> [Setting] {
        OptionList.fromEnvironment.sorted().compactMap { name in
            let variable = "DMEMFS_\(name.uppercased())"
            guard let value = Files.environment(variable) else { return nil }
            return Setting(name: name, value: value, spelling: variable)
        }
    }
}
