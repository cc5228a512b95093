import Basics
import Support
import Testing

/// The scripts of the folder `Tests`, run to their end.
enum Script {
    /// The project's folder, as this file was compiled.
    static let project = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    /// Stands for the empty folder that a script is given.
    static let place = "PLACE"

    /// The words that run a script of this name in a mount namespace of its own, with the program and an
    /// empty folder.
    static func apart(_ name: String, traced: Bool = true) -> [String] {
        ["unshare", "-m", "sh"] + (traced ? ["-x"] : []) + ["\(project)/Tests/\(name)", Program.path, place]
    }

    /// Runs the words, expects that they end with 0 and leave no process that names the empty folder, and
    /// returns what they printed.
    @discardableResult
    static func run(
        _ words: [String], minutes: Int = 1, at location: SourceLocation = #_sourceLocation
    ) throws -> String {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let place = "\(folder)/place"
        try Files.makeFolder(place, mode: 0o755)
        let words = ["env"] + words.map { $0 == Script.place ? place : $0 }
        let child = Program.spawn("/usr/bin/env", words, into: "\(folder)/script")
        let code = Program.end(of: child, withinMilliseconds: minutes * 60_000)
        let said = try Files.text(of: "\(folder)/script.out")
        let complaint = try Files.text(of: "\(folder)/script.err")
        #expect(code == 0, "\(said)\(complaint)", sourceLocation: location)
        // Where there was no control socket, who unmounted could not wait for the daemon.
        #expect(Patience.until(seconds: 5) { processes(naming: place).isEmpty }, sourceLocation: location)
        return said
    }
}
