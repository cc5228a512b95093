import Basics

/// A refusal as people read it.
extension RefusalEntry {
    /// `process 12 (dd) of user 1000`, as far as it is known.
    public var who: String {
        if kind == "writeback" { return "a writer unknown" }
        let process = pid.value.map { "process \($0)" } ?? "a process that is not to be seen"
        return "\(process) (\(command.value ?? "?")) of user \(user.value.map { "\($0)" } ?? "?")"
    }

    /// An amount in the unit of the refusal; empty for none.
    public func figure(_ amount: Int?) -> String {
        guard let amount else { return "" }
        if unit == "nodes" { return amount == 1 ? "1 node" : "\(amount) nodes" }
        return "\(ByteCount(amount))"
    }

    /// Two paragraphs: what was refused, and why.
    ///
    /// - Parameter mountpoint: what paths begin with.
    public func text(below mountpoint: String) -> [String] {
        let place = path.value.map { $0.isEmpty ? mountpoint : "\(mountpoint)/\($0)" }
        let what = place ?? "inode \(inode) (name unknown)"
        let (day, last) = (Printable.localTime(Int(time)), Printable.localTime(Int(lastTime)))
        // The day is told once.
        let until = last.prefix(10) == day.prefix(10) ? String(last.dropFirst(11)) : last
        let times = count > 1 ? ", \(count) times until \(until)" : ""
        return [
            Printable.text("\(day) \(operation) \(what): \(errno)\(times)"),
            Printable.text("\(who) \(reason(below: mountpoint))"),
        ]
    }

    /// What was wanted, and what there was: `asked for 1 MiB; the mount had 512 KiB of 8 MiB free`.
    public func reason(below mountpoint: String) -> String {
        let asked = asked.value.map { "asked for \(figure($0)); " } ?? ""
        guard kind != "storage" else {
            let why = limit.value.map { "files over \(figure($0)) stay sequential" }
            return "met the storage kind: \(why ?? "its files are append only")"
        }
        let loss = kind == "writeback" ? "dirtied the page through a mapping and it is lost; " : ""
        guard let free = free.value else { return "\(loss)\(asked)no memory was to be had" }
        guard let limit = limit.value else { return "\(loss)\(asked)the memory guard left \(figure(free))" }
        let left = unit == "nodes" ? "\(free)" : figure(free)
        return "\(loss)\(asked)\(whose(below: mountpoint)) had \(left) of \(figure(limit)) free"
    }

    /// What has the limit.
    private func whose(below mountpoint: String) -> String {
        if let directory = limitDirectory.value { return "the quota of \(mountpoint)/\(directory)" }
        if let user = limitUser.value { return "the limit of user \(user)" }
        switch kind {
        case "directory": return "the quota of a directory that is gone"
        case "user": return "the limit of a user that is gone"
        default: return "the mount"
        }
    }
}
