import Basics
import Tree

/// Folders with files in them, named by number.
struct Population {
    /// All names have this many bytes.
    static let nameBytes = 12
    let folders: [NodeID]
    let files: Int

    /// Makes `files` empty files, spread evenly over `folderCount` folders.
    init(files: Int, folderCount: Int, in tree: Tree) throws {
        let caller = Caller(user: 0, group: 0, process: 0)
        var names = Names(count: 1)
        var folders: [NodeID] = []
        for folder in 0..<folderCount {
            names.set(0, letter: "d", number: folder)
            let entry = try names.withName(0) { (name) throws(Errno) in
                try tree.makeDirectory(name, in: .root, mode: 0o755, by: caller)
            }
            folders.append(entry.node)
        }
        for file in 0..<files {
            names.set(0, letter: "f", number: file)
            let entry = try names.withName(0) { (name) throws(Errno) in
                let folder = folders[file % folderCount]
                return try tree.create(name, in: folder, mode: 0o644, exclusive: true, by: caller)
            }
            tree.forget(entry.node, count: 1)
        }
        self.folders = folders
        self.files = files
    }

    func folder(of file: Int) -> NodeID { folders[file % folders.count] }
}

/// Names in one array, so that lending one touches no reference count.
struct Names {
    private var bytes: [UInt8]

    init(count: Int) { bytes = [UInt8](repeating: 0, count: count * Population.nameBytes) }

    mutating func set(_ index: Int, letter: Character, number: Int) {
        let start = index * Population.nameBytes
        bytes[start] = letter.asciiValue ?? 0
        var rest = number
        for place in stride(from: Population.nameBytes - 1, to: 0, by: -1) {
            bytes[start + place] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
    }

    func withName<Result>(_ index: Int, _ body: (RawSpan) throws(Errno) -> Result) throws(Errno) -> Result {
        let start = index * Population.nameBytes
        return try bytes.withRawSpan { (all) throws(Errno) in
            try body(all.extracting(start..<start + Population.nameBytes))
        }
    }
}
