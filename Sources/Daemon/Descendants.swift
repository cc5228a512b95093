import Basics
import Glibc

/// The processes below this one, found in /proc. As this process adopts orphans, none gets away.
enum Descendants {
    /// Every process below this one, zombies too, but `spared`.
    static func ofThisProcess(sparing spared: pid_t) -> Set<pid_t> {
        var found: Set<pid_t> = []
        var rest = [getpid()]
        while let next = rest.popLast() {
            for child in children(of: next) where child != spared && found.insert(child).inserted {
                rest.append(child)
            }
        }
        return found
    }

    /// Kills every other process in this process's mount namespace, for one who is not their parent.
    static func killNamespace(withinMilliseconds limit: Int) {
        let deadline = Files.monotonicMilliseconds() + limit
        let own = namespace(of: getpid())
        while own != nil, Files.monotonicMilliseconds() < deadline {
            let others = numbers(in: "/proc").filter { $0 != getpid() && namespace(of: $0) == own }
            guard let first = others.first else { return }
            let watch = ProcessWatch(first)
            for process in others { kill(process, SIGKILL) }
            watch?.awaitEnd(milliseconds: 100)
        }
    }

    /// Empty where it has ended meanwhile.
    private static func children(of process: pid_t) -> [pid_t] {
        let threads = "/proc/\(process)/task"
        return numbers(in: threads).flatMap { thread -> [pid_t] in
            do throws(Errno) {
                let list = try Files.text(of: "\(threads)/\(thread)/children")
                return list.split(separator: " ").compactMap { pid_t($0) }
            } catch {
                return []
            }
        }
    }

    private static func numbers(in folder: String) -> [pid_t] {
        do throws(Errno) {
            return try Files.names(in: folder).compactMap { pid_t($0) }
        } catch {
            return []
        }
    }

    private static func namespace(of process: pid_t) -> String? {
        do throws(Errno) {
            return try Files.link("/proc/\(process)/ns/mnt")
        } catch {
            return nil
        }
    }
}
