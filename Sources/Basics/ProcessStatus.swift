/// What the kernel tells of a process, or of a thread, to anybody.
public struct ProcessStatus: Hashable, Sendable {
    /// The command's name: at most 15 bytes.
    public let command: String
    /// The process that a thread belongs to.
    public let process: Int32
    /// With whose rights it uses files, in the user namespace of who asks.
    public let filesystemUser: UInt32

    /// nil where it is gone, or not ours to see: in another container.
    public init?(of process: Int32) {
        guard process > 0 else { return nil }
        let fields = Self.fields(of: process)
        guard let leader = fields["Tgid"]?.first.flatMap({ Int32($0) }),
            let user = fields["Uid"]?.last.flatMap({ UInt32($0) })
        else { return nil }
        // A thread may have a name of its own.
        let name = leader == process ? fields["Name"] : Self.fields(of: leader)["Name"] ?? fields["Name"]
        command = name?.joined(separator: "\t") ?? ""
        self.process = leader
        filesystemUser = user
    }

    private static func fields(of process: Int32) -> [Substring: [Substring]] {
        var fields: [Substring: [Substring]] = [:]
        for line in Files.lines(of: "/proc/\(process)/status") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[parts[0]] = parts[1].drop { $0 == "\t" }.split(separator: "\t")
        }
        return fields
    }
}
