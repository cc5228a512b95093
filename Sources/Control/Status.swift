public typealias OptionalCount = Nullable<Int>
public typealias OptionalText = Nullable<String>

/// What may be absent, and is then `null` rather than left out.
public struct Nullable<Value: Hashable & Sendable & Codable>: Hashable, Sendable, Codable {
    public var value: Value?

    public init(_ value: Value?) {
        self.value = value
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        value = container.decodeNil() ? nil : try container.decode(Value.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let value { try container.encode(value) } else { try container.encodeNil() }
    }
}

/// What `GET /v1/status` answers and `dmemfs status --json` prints. The keys are a promise to scripts.
public struct Status: Hashable, Sendable, Codable {
    public var mountpoint: String
    public var version: String
    /// The daemon's process.
    public var pid: Int
    public var engine: String
    public var storage: String
    /// How requests come: `device` or `io_uring`.
    public var transport: String
    public var limitBytes: Int
    public var usedBytes: Int
    public var dataBytes: Int
    public var metadataBytes: Int
    public var freeBytes: Int
    public var peakBytes: Int
    public var reservedBytes: Int
    public var openUnlinkedBytes: Int
    /// nil where only the bytes bound the nodes.
    public var maxNodes: OptionalCount
    public var nodes: Int
    public var peakNodes: Int
    /// The daemon's resident memory.
    public var residentBytes: Int
    public var uptimeSeconds: Int
    public var refusals: Refusals
    public var memoryGuard: Guard
    /// null where nothing is frozen.
    public var frozen: Nullable<FreezeStatus>

    /// How many operations were refused, by cause.
    public struct Refusals: Hashable, Sendable, Codable {
        public var bytes: Int
        public var nodes: Int
        public var directory: Int
        public var user: Int
        public var memoryGuard: Int
        public var storage: Int
        public var writeback: Int

        public init(
            bytes: Int, nodes: Int, directory: Int, user: Int, memoryGuard: Int, storage: Int, writeback: Int
        ) {
            self.bytes = bytes
            self.nodes = nodes
            self.directory = directory
            self.user = user
            self.memoryGuard = memoryGuard
            self.storage = storage
            self.writeback = writeback
        }

        enum CodingKeys: String, CodingKey {
            case bytes, nodes, directory, user
            case memoryGuard = "guard"
            case storage, writeback
        }

        /// `3 for bytes, 1 for nodes`; empty where nothing was refused.
        public var summary: String {
            let causes = [
                ("bytes", bytes), ("nodes", nodes), ("directory", directory), ("user", user),
                ("guard", memoryGuard), ("storage", storage), ("writeback", writeback),
            ]
            return causes.filter { $0.1 > 0 }.map { "\($0.1) for \($0.0)" }.joined(separator: ", ")
        }
    }

    /// The memory guard: what it watches, and whether it refuses just now.
    public struct Guard: Hashable, Sendable, Codable {
        public var mode: String
        public var action: String
        /// nil where nothing is watched.
        public var availableBytes: OptionalCount
        public var tripped: Bool

        public init(mode: String, action: String, availableBytes: Int?, tripped: Bool) {
            self.mode = mode
            self.action = action
            self.availableBytes = OptionalCount(availableBytes)
            self.tripped = tripped
        }

        enum CodingKeys: String, CodingKey {
            case mode, action
            case availableBytes = "available_bytes"
            case tripped
        }
    }

    public init(
        mountpoint: String, version: String, pid: Int, engine: String, storage: String, transport: String,
        limitBytes: Int, usedBytes: Int, dataBytes: Int, metadataBytes: Int, peakBytes: Int,
        reservedBytes: Int, openUnlinkedBytes: Int, maxNodes: Int?, nodes: Int, peakNodes: Int,
        residentBytes: Int, uptimeSeconds: Int, refusals: Refusals, memoryGuard: Guard,
        frozen: FreezeStatus? = nil
    ) {
        self.mountpoint = mountpoint
        self.version = version
        self.pid = pid
        self.engine = engine
        self.storage = storage
        self.transport = transport
        self.limitBytes = limitBytes
        self.usedBytes = usedBytes
        self.dataBytes = dataBytes
        self.metadataBytes = metadataBytes
        // While a limit drains more is used than it says.
        freeBytes = max(0, limitBytes - usedBytes)
        self.peakBytes = peakBytes
        self.reservedBytes = reservedBytes
        self.openUnlinkedBytes = openUnlinkedBytes
        self.maxNodes = OptionalCount(maxNodes)
        self.nodes = nodes
        self.peakNodes = peakNodes
        self.residentBytes = residentBytes
        self.uptimeSeconds = uptimeSeconds
        self.refusals = refusals
        self.memoryGuard = memoryGuard
        self.frozen = Nullable(frozen)
    }

    enum CodingKeys: String, CodingKey {
        case mountpoint, version, pid, engine, storage, transport
        case limitBytes = "limit_bytes"
        case usedBytes = "used_bytes"
        case dataBytes = "data_bytes"
        case metadataBytes = "metadata_bytes"
        case freeBytes = "free_bytes"
        case peakBytes = "peak_bytes"
        case reservedBytes = "reserved_bytes"
        case openUnlinkedBytes = "open_unlinked_bytes"
        case maxNodes = "max_nodes"
        case nodes
        case peakNodes = "peak_nodes"
        case residentBytes = "resident_bytes"
        case uptimeSeconds = "uptime_seconds"
        case refusals
        case memoryGuard = "guard"
        case frozen
    }
}
