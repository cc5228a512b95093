import Basics
import Glibc
import Support

/// A memory cgroup of its own for one daemon, version 1 or 2, so that the kernel counts what it holds.
struct ControlGroup: Sendable {
    private let folder: String
    private let isFirstVersion: Bool

    /// nil where none can be made.
    init?() {
        let places = [("/sys/fs/cgroup/memory", true), ("/sys/fs/cgroup", false)]
        for (parent, isFirst) in places {
            let folder = "\(parent)/dmemfs-bound-\(getpid())"
            let test = isFirst ? "memory.usage_in_bytes" : "memory.current"
            guard unsafe mkdir(folder, 0o755) == 0 else { continue }
            if unsafe access("\(folder)/\(test)", R_OK) == 0 {
                self.folder = folder
                isFirstVersion = isFirst
                return
            }
            unsafe rmdir(folder)
        }
        return nil
    }

    /// What a shell must do to be in it.
    var joining: String { "echo $$ > \(folder)/cgroup.procs" }

    /// Everything that is charged to it, page cache and kernel memory included, in bytes.
    var usedBytes: Int { number(isFirstVersion ? "memory.usage_in_bytes" : "memory.current") }

    /// Of that the page cache, without what lies in a tmpfs, in bytes.
    var cacheBytes: Int {
        isFirstVersion
            ? field("total_cache") - field("total_shmem") : field("file") - field("shmem")
    }

    /// Of that what the kernel holds for its own purposes, page tables among them, in bytes.
    var kernelBytes: Int { isFirstVersion ? number("memory.kmem.usage_in_bytes") : field("kernel") }

    func remove() {
        // The kernel takes a moment to see that the last process is gone.
        for _ in 0..<100 where unsafe rmdir(folder) != 0 { usleep(10_000) }
    }

    private func number(_ name: String) -> Int {
        let text = (try? Files.text(of: "\(folder)/\(name)")) ?? ""
        return Int(text.prefix { $0.isNumber }) ?? 0
    }

    private func field(_ name: String) -> Int {
        let text = (try? Files.text(of: "\(folder)/memory.stat")) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("\(name) ") {
            return Int(line.dropFirst(name.utf8.count + 1)) ?? 0
        }
        return 0
    }
}
