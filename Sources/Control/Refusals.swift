/// One refusal, or many that came one after the other, as `/v1/refusals` answers and `dmemfs why --json`
/// prints. The keys are a promise to scripts.
public struct RefusalEntry: Hashable, Sendable, Codable {
    /// From 1 on, in the order of time.
    public var number: Int
    /// Of the first and of the last, in seconds since the epoch.
    public var time: Double
    public var lastTime: Double
    /// How many requests it stands for.
    public var count: Int
    /// A key of `status`' `refusals`: `bytes`, `nodes`, `directory`, `user`, `guard`, `storage`, `writeback`.
    public var kind: String
    /// Its name, such as `ENOSPC`.
    public var errno: String
    public var operation: String
    /// Below the mount's root, without a slash at its start; null where it is not known.
    public var path: OptionalText
    /// Of the file, or of the directory that something was to be made in.
    public var inode: Int
    /// null where nobody knows, as of a page that the kernel wrote back. Where there were too many to look at
    /// each, there is no command, and the process may be a thread.
    public var user: OptionalCount
    public var pid: OptionalCount
    public var command: OptionalText
    /// `bytes` or `nodes`: what the next three are.
    public var unit: String
    /// null where the kind knows no such figure.
    public var asked: OptionalCount
    public var free: OptionalCount
    public var limit: OptionalCount
    /// The directory whose quota it was, below the mount's root; null for every other kind.
    public var limitDirectory: OptionalText
    /// The user whose limit it was; null for every other kind.
    public var limitUser: OptionalCount

    public init(
        number: Int, time: Double, lastTime: Double, count: Int, kind: String, errno: String,
        operation: String, path: String?, inode: Int, user: Int?, pid: Int?, command: String?, unit: String,
        asked: Int?, free: Int?, limit: Int?, limitDirectory: String?, limitUser: Int?
    ) {
        self.number = number
        self.time = time
        self.lastTime = lastTime
        self.count = count
        self.kind = kind
        self.errno = errno
        self.operation = operation
        self.path = OptionalText(path)
        self.inode = inode
        self.user = OptionalCount(user)
        self.pid = OptionalCount(pid)
        self.command = OptionalText(command)
        self.unit = unit
        self.asked = OptionalCount(asked)
        self.free = OptionalCount(free)
        self.limit = OptionalCount(limit)
        self.limitDirectory = OptionalText(limitDirectory)
        self.limitUser = OptionalCount(limitUser)
    }

    enum CodingKeys: String, CodingKey {
        case number, time
        case lastTime = "last_time"
        case count, kind, errno, operation, path, inode, user, pid, command, unit, asked, free, limit
        case limitDirectory = "limit_directory"
        case limitUser = "limit_user"
    }
}

/// What `GET /v1/refusals` answers: the last ones, the newest last.
public struct RefusalList: Hashable, Sendable, Codable {
    public var refusals: [RefusalEntry]

    public init(refusals: [RefusalEntry]) {
        self.refusals = refusals
    }
}

/// What answers `/v1/refusals`.
public protocol RefusalKeeper: Sendable {
    /// The last refusals, the newest last: of everybody for a trusted peer, for another his own.
    func refusals(for peer: Peer) -> [RefusalEntry]
}
