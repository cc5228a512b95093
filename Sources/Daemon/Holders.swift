import Basics
import Glibc

/// The processes that keep a mount busy, found in /proc without touching the mount.
public enum Holders {
    public struct Holder: Hashable, Sendable, CustomStringConvertible {
        public let process: Int
        public let command: String
        /// What of the mount it uses, such as `working directory`.
        public let use: String
        /// Where that is.
        public let path: String

        public var description: String { "\(process) (\(command): \(use) \(path))" }
    }

    private static let links = [("cwd", "working directory"), ("root", "root directory"), ("exe", "program")]

    /// Those that this user may see. Another user's processes are hidden from all but root.
    public static func of(_ path: String) -> [Holder] {
        do throws(Errno) {
            // Who asks may stand in the mount as well, but it is not what keeps it busy for others.
            let processes = try Files.names(in: "/proc").compactMap { Int($0) }.filter { $0 != Int(getpid()) }
            return processes.sorted().compactMap { holder($0, of: path) }
        } catch {
            return []
        }
    }

    /// `held by 12 (tail: open file), 14 (bash: working directory)`, or `otherwise` where nobody can be seen.
    public static func summary(
        of path: String, otherwise: String = "held by a process that this user cannot see"
    ) -> String {
        let holders = of(path)
        guard !holders.isEmpty else { return otherwise }
        let shown = holders.prefix(8).map(\.description).joined(separator: ", ")
        return "held by \(shown)\(holders.count > 8 ? " and \(holders.count - 8) more" : "")"
    }

    private static func holder(_ process: Int, of path: String) -> Holder? {
        let folder = "/proc/\(process)"
        func holder(_ use: String, _ place: String) -> Holder {
            Holder(
                process: process, command: ProcessStatus(of: Int32(process))?.command ?? "?", use: use,
                path: place)
        }
        for (name, use) in links {
            if let place = target("\(folder)/\(name)", below: path) { return holder(use, place) }
        }
        do throws(Errno) {
            for name in try Files.names(in: "\(folder)/fd") {
                if let place = target("\(folder)/fd/\(name)", below: path) {
                    return holder("open file", place)
                }
            }
            let mappings = try Files.text(of: "\(folder)/maps")
            for line in mappings.split(separator: "\n") {
                // The sixth field is the path, and the only one that may hold a space.
                let fields = line.split(separator: " ", maxSplits: 5)
                if fields.count == 6, isBelow(String(fields[5]), path) {
                    return holder("mapped file", String(fields[5]))
                }
            }
        } catch {
            // It ended meanwhile, or is hidden from us.
            return nil
        }
        return nil
    }

    /// Where a link of /proc leads, if that is in the mount.
    private static func target(_ link: String, below path: String) -> String? {
        do throws(Errno) {
            let target = try Files.link(link)
            return isBelow(target, path) ? target : nil
        } catch {
            return nil
        }
    }

    private static func isBelow(_ name: String, _ path: String) -> Bool {
        name == path || name.hasPrefix("\(path)/") || name.hasPrefix("\(path) (")
    }
}
