public import Basics
import Control

/// How much memory a percentage is of: the least of the machine's and the limits of the cgroups above the
/// daemon's own unit. The unit's own limit is left out: whoever sets it sizes it after the mount, not the
/// mount after it.
public enum MachineMemory {
    /// In bytes. `root` stands before every path that is read, for tests.
    public static func available(root: String = "") throws(Errno) -> Int {
        var least = try total(in: Files.text(of: "\(root)/proc/meminfo"))
        let table = MountTable(parsing: try Files.text(of: "\(root)/proc/self/mountinfo"))
        for line in try Files.text(of: "\(root)/proc/self/cgroup").split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isUnified = fields[0] == "0" && fields[1].isEmpty
            guard isUnified || fields[1].split(separator: ",").contains("memory") else { continue }
            let mount = table.entries.last { entry in
                isUnified
                    ? entry.type == "cgroup2"
                    : entry.type == "cgroup" && entry.superOptions.split(separator: ",").contains("memory")
            }
            guard let mount else { continue }
            let files = isUnified ? ["memory.max", "memory.high"] : ["memory.limit_in_bytes"]
            for group in groupsAbove(String(fields[2]), mountedAt: mount.root) {
                for file in files {
                    guard let limit = limit(in: "\(root)\(mount.mountpoint)\(group)/\(file)") else {
                        continue
                    }
                    least = min(least, limit)
                }
            }
        }
        return least
    }

    static func total(in meminfo: String) throws(Errno) -> Int {
        for line in meminfo.split(separator: "\n") where line.hasPrefix("MemTotal:") {
            let words = line.split(separator: " ")
            if words.count >= 2, let kibibytes = Int(words[1]) { return kibibytes << 10 }
        }
        throw .noSuchFileOrDirectory
    }

    /// The folders of the groups above `group`, below the mount that shows the hierarchy from `mountRoot`
    /// down.
    ///
    /// A process in the hierarchy's visible root has nothing above it that it can see; the limit of that root
    /// is then a container's, and counts.
    static func groupsAbove(_ group: String, mountedAt mountRoot: String) -> [String] {
        var names = group.split(separator: "/")
        let rootNames = mountRoot.split(separator: "/")
        if names.starts(with: rootNames) { names.removeFirst(rootNames.count) } else { names = [] }
        guard !names.isEmpty else { return [""] }
        return (0..<names.count).map { count in names.prefix(count).map { "/\($0)" }.joined() }
    }

    /// nil where there is no limit, or none that can be read.
    private static func limit(in path: String) -> Int? {
        do throws(Errno) {
            let text = try Files.text(of: path)
            return Int(text.prefix { $0 != "\n" })
        } catch {
            return nil
        }
    }
}
