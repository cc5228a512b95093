public import Basics
public import Control
import Glibc

/// The directory that a mount goes on: found without touching a mount that might be dead, and made ready.
public struct Mountpoint: Sendable {
    /// Absolute and without links.
    public let path: String
    /// The folders that were made for it, outermost first.
    private let made: [String]

    /// The absolute path without links of `path`, whose end need not be there.
    ///
    /// A mount of ours at the end is never looked into: it may be dead, or hang.
    public static func resolve(_ path: String, in table: MountTable) throws(Errno) -> String {
        var path = normalized(path.hasPrefix("/") ? path : "\(try Files.workingFolder())/\(path)")
        for _ in 0..<40 {
            if path == "/" || table.top(at: path)?.isOurs == true { return path }
            let slash = path.lastIndex(of: "/") ?? path.startIndex
            let name = path[path.index(after: slash)...]
            if name == ".." { return try Files.resolved(path) }
            let parent = slash == path.startIndex ? "/" : String(path[..<slash])
            let folder = try resolvedFolder(parent, in: table)
            let candidate = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
            if table.top(at: candidate)?.isOurs == true { return candidate }
            do throws(Errno) {
                let target = try Files.link(candidate)
                path = normalized(target.hasPrefix("/") ? target : "\(folder)/\(target)")
            } catch {
                // Not a link, or not there at all: this is the place.
                guard error == .invalidArgument || error == .noSuchFileOrDirectory else { throw error }
                return candidate
            }
        }
        throw .tooManySymbolicLinkLevels
    }

    private static func resolvedFolder(_ path: String, in table: MountTable) throws(Errno) -> String {
        do throws(Errno) {
            return try Files.resolved(path)
        } catch {
            guard error == .noSuchFileOrDirectory else { throw error }
            return try resolve(path, in: table)
        }
    }

    /// Without empty and `.` components. `..` stays: only the kernel knows where it leads.
    private static func normalized(_ path: String) -> String {
        "/" + path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    /// The descriptor that `path` names as `/dev/fd/N`: of a FUSE device that somebody else has mounted.
    public static func descriptor(in path: String) -> Int32? {
        let prefix = "/dev/fd/"
        guard path.hasPrefix(prefix) else { return nil }
        let digits = path.dropFirst(prefix.count)
        return digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int32(digits) : nil
    }

    /// Finds the place for a mount, clears a dead mount of ours off it, and checks that it can take one.
    public static func prepare(_ configuration: Configuration) throws(Failure) -> Mountpoint {
        if let descriptor = descriptor(in: configuration.mountpoint) {
            // Where it is mounted may be in sight of somebody else only.
            try FuseDevice.check(descriptor, named: configuration.mountpoint)
            return Mountpoint(path: configuration.mountpoint, made: [])
        }
        let path = try cleared(configuration.mountpoint)
        var made: [String] = []
        if configuration.makesMountpoint { made = try makeFolders(to: path) }
        let mountpoint = Mountpoint(path: path, made: made)
        do throws(Failure) {
            try mountpoint.check(acceptsNonEmpty: configuration.acceptsNonEmpty)
            try FuseDevice.check()
            if geteuid() != 0 { try mountpoint.checkForUser(allowsOthers: configuration.allowsOthers) }
        } catch {
            mountpoint.undo()
            throw error
        }
        return mountpoint
    }

    /// Removes the folders that were made for a mount that then did not come about.
    public func undo() {
        for folder in made.reversed() {
            do throws(Errno) {
                try Files.removeFolder(folder)
            } catch {
                return
            }
        }
    }

    /// Resolves `name`, and takes dead mounts of ours away from there.
    private static func cleared(_ name: String) throws(Failure) -> String {
        while true {
            let path: String
            let top: MountEntry?
            do throws(Errno) {
                let table = try MountTable.current()
                path = try resolve(name, in: table)
                top = table.top(at: path)
            } catch {
                throw Failure(.mountFailed, "cannot reach \(name): \(Wording.of(error))")
            }
            guard let top, top.isOurs else { return path }
            guard Unmounting.isDead(top) else {
                throw Failure(
                    .mountFailed,
                    "a dmemfs is already mounted on \(path): 'dmemfs umount \(path)' first, or use it")
            }
            do throws(Errno) {
                try Unmounting.unmount(path, lazily: true)
            } catch {
                throw Failure(
                    .mountFailed,
                    "cannot clear the dead mount at \(path) (\(Wording.of(error))): 'umount -l \(path)'"
                )
            }
            SocketPath.removeStale(of: top)
            Files.complain("dmemfs: cleared the dead mount on \(path) that a killed daemon left behind")
        }
    }

    private static func makeFolders(to path: String) throws(Failure) -> [String] {
        var made: [String] = []
        var folder = ""
        for name in path.split(separator: "/") {
            folder += "/\(name)"
            do throws(Errno) {
                try Files.makeFolder(folder, mode: 0o755)
                made.append(folder)
            } catch {
                if error == .fileExists { continue }
                Mountpoint(path: path, made: made).undo()
                throw Failure(.mountFailed, "cannot make \(folder): \(Wording.of(error)): make it yourself")
            }
        }
        return made
    }

    private func check(acceptsNonEmpty: Bool) throws(Failure) {
        let names: [String]
        do throws(Errno) {
            guard try Files.status(of: path).kind == .directory else { throw .notDirectory }
            names = acceptsNonEmpty ? [] : try Files.names(in: path, limit: 1)
        } catch {
            let remedy =
                switch error {
                case .noSuchFileOrDirectory: "\(path) does not exist: make it, or use --mkdir"
                case .notDirectory: "\(path) is not a directory: name one to mount on"
                case .permissionDenied: "permission denied to look into \(path): name a directory of yours"
                default: "cannot look into \(path): \(Wording.of(error))"
                }
            throw Failure(.mountFailed, remedy)
        }
        guard names.isEmpty else {
            throw Failure(
                .mountFailed,
                "\(path) is not empty, and a mount would hide what it holds: allow it with '-o nonempty'")
        }
    }
}

extension Mountpoint {
    /// What fusermount3 would refuse to a user, in more lines and with less of a remedy.
    private func checkForUser(allowsOthers: Bool) throws(Failure) {
        guard Files.isWritable(path) else {
            throw Failure(.mountFailed, "permission denied to mount on \(path): name a directory of yours")
        }
        guard allowsOthers else { return }
        guard FuseDevice.allowsSharing() else {
            throw Failure(
                .mountFailed,
                "allow_other is for root only here: add 'user_allow_other' to /etc/fuse.conf as root")
        }
    }
}
