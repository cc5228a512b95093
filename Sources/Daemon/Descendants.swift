import Basics
import Glibc

/// The processes below this one, found in /proc. As this process adopts orphans, none gets away.
enum Descendants {
    /// Every process below this one, zombies too, but `spared`.
    static func ofThisProcess(sparing spared: pid_t) -> Set<pid_t> {
        let children = Dictionary(grouping: processes(), by: { parent(of: $0) ?? 0 })
        var found: Set<pid_t> = []
        var rest = [getpid()]
        while let next = rest.popLast() {
            for child in children[next] ?? [] where child != spared && found.insert(child).inserted {
                rest.append(child)
            }
        }
        return found
    }

    /// Kills `processes` and all that they start meanwhile.
    ///
    /// They are stopped before the first is killed: who makes new ones as quickly as others die would
    /// otherwise never be caught, and a stopped process still counts against the limit on processes.
    static func kill(_ processes: Set<pid_t>, sparing spared: pid_t) {
        var stopped: Set<pid_t> = []
        var running = processes
        // A round finds what was started during the one before; without end only if they outrun us.
        for _ in 0..<100 where !running.isEmpty {
            for process in running { Glibc.kill(process, SIGSTOP) }
            stopped.formUnion(running)
            running = ofThisProcess(sparing: spared).subtracting(stopped)
        }
        for process in stopped.union(running) { Glibc.kill(process, SIGKILL) }
    }

    /// Kills every other process in this process's mount namespace, for one who is not their parent.
    static func killNamespace(withinMilliseconds limit: Int) {
        let deadline = Files.monotonicMilliseconds() + limit
        let own = namespace(of: getpid())
        while own != nil, Files.monotonicMilliseconds() < deadline {
            let others = processes().filter { $0 != getpid() && namespace(of: $0) == own }
            guard let first = others.first else { return }
            let watch = ProcessWatch(first)
            for process in others { Glibc.kill(process, SIGKILL) }
            watch?.awaitEnd(milliseconds: 100)
        }
    }

    private static func processes() -> [pid_t] {
        do throws(Errno) {
            return try Files.names(in: "/proc").compactMap { pid_t($0) }
        } catch {
            return []
        }
    }

    private static func parent(of process: pid_t) -> pid_t? {
        do throws(Errno) {
            // The name, which is before it in parentheses, may hold anything.
            let text = try Files.text(of: "/proc/\(process)/stat")
            guard let end = text.lastIndex(of: ")") else { return nil }
            let fields = text[text.index(after: end)...].split(separator: " ")
            return fields.count > 1 ? pid_t(fields[1]) : nil
        } catch {
            return nil
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
