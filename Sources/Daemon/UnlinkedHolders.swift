public import Control
import Basics
import Glibc

/// The processes that keep files of a mount which have no name any more, found in /proc by the number of the
/// mount and that of the inode, without touching the mount.
public enum UnlinkedHolders {
    public struct Holder: Hashable, Sendable {
        public let process: Int
        public let command: String
    }

    /// Who keeps each of the inodes, as far as this user may see it: another user's processes are hidden from
    /// all but root.
    public static func of(_ inodes: Set<UInt64>, on mount: MountEntry) -> [UInt64: [Holder]] {
        guard !inodes.isEmpty else { return [:] }
        let processes = numbers(in: "/proc").sorted()
        let mounts = mountNumbers(of: mount, seenBy: processes)
        var holders: [UInt64: [Holder]] = [:]
        for process in processes {
            let folder = "/proc/\(process)"
            let kept = openInodes(of: folder, on: mounts).union(mappedInodes(of: folder, on: mount))
            let wanted = kept.intersection(inodes)
            guard !wanted.isEmpty else { continue }
            let holder = Holder(process: process, command: Files.firstLine(of: "\(folder)/comm") ?? "?")
            for inode in wanted { holders[inode, default: []].append(holder) }
        }
        return holders
    }

    private static func numbers(in folder: String) -> [Int] {
        do throws(Errno) {
            return try Files.names(in: folder).compactMap { Int($0) }
        } catch {
            // It has ended, or is hidden from us.
            return []
        }
    }

    /// The numbers of all mounts of the same filesystem: each mount namespace has its own.
    private static func mountNumbers(of mount: MountEntry, seenBy processes: [Int]) -> Set<Int> {
        var numbers: Set<Int> = [mount.id]
        var namespaces: Set<String> = []
        for process in processes {
            guard let namespace = link("/proc/\(process)/ns/mnt"), namespaces.insert(namespace).inserted
            else { continue }
            for line in Files.lines(of: "/proc/\(process)/mountinfo") {
                guard let entry = MountEntry(line: line), entry.deviceMinor == mount.deviceMinor,
                    entry.type == mount.type
                else { continue }
                numbers.insert(entry.id)
            }
        }
        return numbers
    }

    private static func link(_ path: String) -> String? {
        do throws(Errno) {
            return try Files.link(path)
        } catch {
            return nil
        }
    }

    private static func openInodes(of folder: String, on mounts: Set<Int>) -> Set<UInt64> {
        var inodes: Set<UInt64> = []
        for descriptor in numbers(in: "\(folder)/fd") {
            // What has no name the kernel marks so; that leaves few to look at.
            guard link("\(folder)/fd/\(descriptor)")?.hasSuffix(" (deleted)") == true else { continue }
            var mount: Int?
            var inode: UInt64?
            for line in Files.lines(of: "\(folder)/fdinfo/\(descriptor)") {
                let words = line.split { $0 == ":" || $0 == "\t" || $0 == " " }
                guard words.count == 2 else { continue }
                if words[0] == "mnt_id" { mount = Int(words[1]) }
                // Kernels before 5.14 do not say.
                if words[0] == "ino" { inode = UInt64(words[1]) }
            }
            if let mount, let inode, mounts.contains(mount) { inodes.insert(inode) }
        }
        return inodes
    }

    private static func mappedInodes(of folder: String, on mount: MountEntry) -> Set<UInt64> {
        var inodes: Set<UInt64> = []
        for line in Files.lines(of: "\(folder)/maps") where line.hasSuffix(" (deleted)") {
            // Addresses, rights, offset, device, inode, and the path, the only one that may hold a space.
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count == 6, let inode = UInt64(fields[4]) else { continue }
            let device = fields[3].split(separator: ":")
            if device.count == 2, UInt(device[0], radix: 16) == 0,
                Int(device[1], radix: 16) == mount.deviceMinor
            {
                inodes.insert(inode)
            }
        }
        return inodes
    }
}
