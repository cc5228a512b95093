import Accounting
public import Basics

/// How much memory a percentage is of: the least of the machine's and the limits of the cgroups above the
/// daemon's own unit. The unit's own limit is left out: whoever sets it sizes it after the mount, not the
/// mount after it.
public enum MachineMemory {
    /// In bytes. `root` stands before every path that is read, for tests.
    public static func available(root: String = "") throws(Errno) -> Int {
        var least = try total(root: root)
        for hierarchy in try MemoryGroups.current(root: root).hierarchies {
            // A process in the uppermost group has nothing above it that it can see; the limit of that group
            // is then a container's, and counts.
            let folders = hierarchy.folders.count > 1 ? hierarchy.folders.dropFirst() : hierarchy.folders[...]
            for folder in folders {
                for name in hierarchy.limitNames {
                    least = min(least, limit(in: "\(folder)/\(name)") ?? least)
                }
            }
        }
        return least
    }

    /// The machine's, in bytes.
    static func total(root: String = "") throws(Errno) -> Int {
        let meminfo = try Files.contents(of: "\(root)/proc/meminfo")
        guard let total = meminfo.withRawSpan({ MemoryProbe.total(meminfo: $0) }) else {
            throw .noSuchFileOrDirectory
        }
        return total
    }

    /// nil where there is no limit, or none that can be read.
    private static func limit(in path: String) -> Int? {
        do throws(Errno) {
            return try Files.contents(of: path).withRawSpan { MemoryProbe.limit($0) }
        } catch {
            return nil
        }
    }
}
