import Accounting
import Basics
import Control

/// The cgroups that bound this process's memory: its own and all above it, in each hierarchy that may have a
/// memory controller, as of one moment.
struct MemoryGroups {
    /// One hierarchy, as this process sees it.
    struct Hierarchy: Hashable {
        /// Version 2; the files have other names than in version 1.
        let isUnified: Bool
        /// The folders of the groups, the process's own first and the uppermost that can be seen last.
        let folders: [String]

        var limitNames: [String] { isUnified ? ["memory.max", "memory.high"] : ["memory.limit_in_bytes"] }
        var usageName: String { isUnified ? "memory.current" : "memory.usage_in_bytes" }
    }

    let hierarchies: [Hierarchy]

    /// - Parameters:
    ///   - cgroup: the text of /proc/self/cgroup.
    ///   - root: stands before every path, for tests.
    init(mounts: MountTable, cgroup: String, root: String = "") {
        var hierarchies: [Hierarchy] = []
        for isUnified in [false, true] {
            let mount = mounts.entries.last { entry in
                isUnified
                    ? entry.type == "cgroup2"
                    : entry.type == "cgroup" && entry.superOptions.split(separator: ",").contains("memory")
            }
            let path = MemoryProbe.path(of: isUnified ? nil : "memory", cgroup: cgroup)
            guard let mount, let path else { continue }
            let folders = Self.groups(path, mountedAt: mount.root).map { "\(root)\(mount.mountpoint)\($0)" }
            hierarchies.append(Hierarchy(isUnified: isUnified, folders: folders))
        }
        self.hierarchies = hierarchies
    }

    static func current(root: String = "") throws(Errno) -> MemoryGroups {
        let mounts = MountTable(parsing: try Files.text(of: "\(root)/proc/self/mountinfo"))
        let cgroup = try Files.text(of: "\(root)/proc/self/cgroup")
        return MemoryGroups(mounts: mounts, cgroup: cgroup, root: root)
    }

    /// The folders of `group` and all above it, below the mount that shows the hierarchy from `mountRoot`
    /// down. A process outside of what the mount shows is in the uppermost that it can see.
    static func groups(_ group: String, mountedAt mountRoot: String) -> [String] {
        var names = group.split(separator: "/")
        let rootNames = mountRoot.split(separator: "/")
        if names.starts(with: rootNames) { names.removeFirst(rootNames.count) } else { names = [] }
        // A path out of the namespace leads to what cannot be seen.
        if names.contains("..") { names = [] }
        return (0...names.count).reversed().map { count in names.prefix(count).map { "/\($0)" }.joined() }
    }
}
