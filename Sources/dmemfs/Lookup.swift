import Basics
import Control
import Daemon

/// Finds the mount that a command line means, without touching it.
enum Lookup {
    static func table() throws(Failure) -> MountTable {
        do throws(Errno) {
            return try MountTable.current()
        } catch {
            throw Failure(.bug, "cannot read /proc/self/mountinfo: \(error)")
        }
    }

    /// The mount of ours that is uppermost on `name`.
    static func mount(_ name: String) throws(Failure) -> MountEntry {
        let table = try table()
        do throws(Errno) {
            let path = try Mountpoint.resolve(name, in: table)
            if let mount = table.top(at: path), mount.isOurs { return mount }
        } catch {
            // What cannot be reached has no mount of ours on it either.
        }
        throw Failure(.notMounted, "no dmemfs is mounted on \(name): 'dmemfs list' shows those there are")
    }

    /// The mount on `name`, or the only one there is.
    static func mount(orOnly name: String?) throws(Failure) -> MountEntry {
        if let name { return try mount(name) }
        let mounts = try table().ours
        guard let only = mounts.first else { throw Failure(.notMounted, "no dmemfs is mounted") }
        guard mounts.count == 1 else {
            let names = mounts.map(\.mountpoint).joined(separator: ", ")
            throw Failure(.usage, "more than one dmemfs is mounted: name one of \(names)")
        }
        return only
    }
}
