import ArgumentParser
import Basics
import Control
import Daemon
import Glibc

/// The program as mount(8) calls it: `mount.dmemfs SOURCE DIRECTORY [-sfnv] [-o LIST]`.
///
/// It is chosen by the name that the program is called by, and speaks mount(8)'s exit codes. What mount.fuse3
/// runs where that link is missing, `dmemfs SOURCE DIRECTORY -o LIST`, is understood as well.
struct MountHelper {
    static let names: Set<String> = ["mount.dmemfs", "mount.fuse.dmemfs"]

    /// What mount(8) expects a helper to end with.
    private enum Code: Int32 {
        case success = 0
        case usage = 1
        case system = 2
        case bug = 4
        case failure = 32

        init(_ status: Int32) {
            self =
                switch ExitStatus(rawValue: status) {
                case .success: .success
                case .usage: .usage
                case .bug: .bug
                default: .failure
                }
        }
    }

    private var source = ""
    private var directory = ""
    private var lists: [String] = []
    private var isSloppy = false
    private var isFake = false
    private var isVerbose = false
    private var isReadOnly = false
    private var namespace: String?
    /// mount.fuse3 adds the words `dev` and `suid` of its own accord.
    private let isThroughMountFuse: Bool

    private init(isThroughMountFuse: Bool) {
        self.isThroughMountFuse = isThroughMountFuse
    }

    /// nil where these arguments are not mount(8)'s, but a verb's.
    static func reading(_ arguments: [String]) throws(Failure) -> MountHelper? {
        let name = arguments.first?.split(separator: "/").last.map(String.init) ?? ""
        let isLink = names.contains(name)
        if !isLink {
            guard arguments.count > 3, arguments.contains("-o"), !arguments[1].hasPrefix("-"),
                !Main.verbs.contains(arguments[1])
            else { return nil }
        }
        var helper = MountHelper(isThroughMountFuse: !isLink)
        try helper.parse(arguments.dropFirst())
        return helper
    }

    private mutating func parse(_ arguments: ArraySlice<String>) throws(Failure) {
        var places: [String] = []
        var rest = arguments
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word.count > 1 else {
                places.append(word)
                continue
            }
            var letters = word.dropFirst()
            while let letter = letters.popFirst() {
                switch letter {
                case "s": isSloppy = true
                case "f": isFake = true
                case "v": isVerbose = true
                case "r": isReadOnly = true
                case "n", "w": break
                case "o", "t", "N":
                    guard let value = letters.isEmpty ? rest.popFirst() : String(letters) else {
                        throw Failure(.usage, "-\(letter) needs a value")
                    }
                    letters = ""
                    if letter == "o" { lists.append(value) }
                    if letter == "N" { namespace = value }
                default:
                    throw Failure(.usage, "unknown option -\(letter): use SOURCE DIRECTORY [-sfnv] [-o LIST]")
                }
            }
        }
        guard places.count == 2 else {
            throw Failure(.usage, "use SOURCE DIRECTORY [-sfnv] [-o LIST]: there are \(places.count) names")
        }
        (source, directory) = (places[0], places[1])
    }

    /// Does what mount(8) asks. Returns what to end with, in mount(8)'s codes.
    func run() -> Int32 {
        do {
            return try mountOrRemount().rawValue
        } catch let error as ConfigurationError {
            for fault in error.faults { Files.complain("dmemfs: \(fault)") }
            return Code(error.status.rawValue).rawValue
        } catch let failure as Failure {
            Files.complain("dmemfs: \(failure)")
            return Code(failure.status.rawValue).rawValue
        } catch {
            Files.complain("dmemfs: \(error)")
            return Code.bug.rawValue
        }
    }

    /// What goes wrong before there is a helper to run is usage.
    static func end(_ failure: Failure) -> Never {
        Files.complain("dmemfs: \(failure)")
        Glibc.exit(Code.usage.rawValue)
    }

    private func mountOrRemount() throws -> Code {
        if let namespace { try MountNamespace.enter(namespace) }
        let settings = lists.flatMap { OptionList.settings(in: $0) }
        guard !Remount.isAsked(by: settings) else {
            try remount(settings)
            return .success
        }
        var words = settings.filter { !isUnasked($0) }.flatMap { ["-o", escaped($0)] }
        if isReadOnly { words += ["-o", "ro"] }
        words += [
            "-o", escaped(Setting(name: "fsname", value: source.isEmpty ? "none" : source, spelling: "")),
        ]
        if isSloppy { words.append("--sloppy") }
        if !isVerbose { words.append("--quiet") }
        words += ["--", directory]
        let command = try MountCommand.parse(words)
        guard !isFake else {
            _ = try Configuration(validating: try command.request(), asUser: geteuid(), group: getegid())
            return .success
        }
        if Mountpoint.descriptor(in: directory) == nil {
            do throws(Failure) {
                try FuseDevice.check()
            } catch {
                Files.complain("dmemfs: \(error)")
                return .system
            }
        }
        return Code(command.outcome(commandLine: ["dmemfs", "mount"] + words))
    }

    /// mount.fuse3 adds `dev` and `suid` where nobody has forbidden them; only who asks gets them.
    private func isUnasked(_ setting: Setting) -> Bool {
        isThroughMountFuse && (setting.name == "dev" || setting.name == "suid")
    }

    private func escaped(_ setting: Setting) -> String {
        OptionList.escaped(setting.value.map { "\(setting.name)=\($0)" } ?? setting.name)
    }

    private func remount(_ settings: [Setting]) throws {
        var settings = settings
        if isReadOnly { settings.append(Setting(name: "ro", value: nil, spelling: "-r")) }
        let request = MountRequest(
            mountpoint: directory, settings: settings, makesMountpoint: false, ignoresUnknown: isSloppy)
        let remount = try Remount(validating: request, asUser: geteuid())
        remount.warnings.forEach(warn)
        let mount: MountEntry
        do throws(Failure) {
            mount = try Lookup.mount(directory)
        } catch {
            throw Failure(.mountFailed, "cannot remount: \(error)")
        }
        guard !isFake else { return }
        if let warning = try remount.apply(to: mount) { warn(warning) }
    }
}
