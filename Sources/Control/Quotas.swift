import Basics

/// What `PUT /v1/quotas/DIRECTORY` and `PUT /v1/users/UID` ask, as the command line writes it. What is
/// absent stays as it is.
public struct QuotaChangeRequest: Hashable, Sendable, Codable {
    /// `2G`, a share of the mount's limit such as `25%`, or `none`.
    public var size: String?
    /// `1000`, `64k`, or `none`.
    public var maxNodes: String?
    /// Set the bytes aside from what is above: of directories alone.
    public var reserve: Bool?
    /// Also below what is in use: nothing grows then until use has fallen.
    public var drain: Bool?

    public init(size: String?, maxNodes: String?, reserve: Bool, drain: Bool) {
        self.size = size
        self.maxNodes = maxNodes
        self.reserve = reserve
        self.drain = drain
    }

    enum CodingKeys: String, CodingKey {
        case size
        case maxNodes = "max_nodes"
        case reserve, drain
    }
}

/// A directory's quota, as `/v1/quotas` answers and `dmemfs quota … --json` prints. The keys are a promise to
/// scripts.
public struct QuotaStatus: Hashable, Sendable, Codable {
    /// Below the mount's root, without a slash at its start.
    public var directory: String
    /// null where there is no such limit.
    public var maxBytes: OptionalCount
    public var maxNodes: OptionalCount
    public var usedBytes: Int
    public var usedNodes: Int
    /// Whether the bytes were set aside from what is above.
    public var reserved: Bool

    public init(
        directory: String, maxBytes: Int?, maxNodes: Int?, usedBytes: Int, usedNodes: Int, reserved: Bool
    ) {
        self.directory = directory
        self.maxBytes = OptionalCount(maxBytes)
        self.maxNodes = OptionalCount(maxNodes)
        self.usedBytes = usedBytes
        self.usedNodes = usedNodes
        self.reserved = reserved
    }

    enum CodingKeys: String, CodingKey {
        case directory
        case maxBytes = "max_bytes"
        case maxNodes = "max_nodes"
        case usedBytes = "used_bytes"
        case usedNodes = "used_nodes"
        case reserved
    }
}

/// What `GET /v1/quotas` answers: all of them, by directory, and the limits of users, by user.
public struct QuotaList: Hashable, Sendable, Codable {
    public var quotas: [QuotaStatus]
    public var users: [UserQuotaStatus]

    public init(quotas: [QuotaStatus], users: [UserQuotaStatus]) {
        self.quotas = quotas
        self.users = users
    }
}

/// A directory of a mount by the names that lead to it from the mount's root: bytes, as they are there.
public struct MountPath: Hashable, Sendable {
    public var names: [[UInt8]]

    public init(names: [[UInt8]]) {
        self.names = names
    }

    /// The names between the slashes of a path.
    public init(_ path: some StringProtocol) {
        names = path.utf8.split(separator: UInt8(ascii: "/")).map { Array($0) }
    }

    /// For people.
    public var text: String {
        names.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
    }

    /// As the path of a URL says it: what is no letter, digit, dot, dash or underscore as a percent sign and
    /// two digits.
    var encoded: String {
        var bytes: [UInt8] = []
        for (index, name) in names.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "/")) }
            Self.appendEncoded(name[...], to: &bytes)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func appendEncoded(_ name: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        let digit = { (value: UInt8) in
            value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
        }
        for byte in name {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digit(byte >> 4), digit(byte & 15)]
            }
        }
    }

    /// nil for what is not encoded as above.
    public init?(encoded: some StringProtocol) {
        var names: [[UInt8]] = []
        for part in encoded.split(separator: "/") {
            guard let name = PercentCode.decoded(part) else { return nil }
            names.append(name)
        }
        self.names = names
    }
}

/// Who asks, as the kernel says.
public struct Peer: Hashable, Sendable {
    public let user: UInt32
    /// Root or the owner of this process, who may see and change everything.
    public let isTrusted: Bool

    /// Somebody of whom the kernel says nothing.
    static let unknown = Peer(user: .max, isTrusted: false)

    /// Whether names and doings of all users can be told to this one. What the network may read was settled
    /// when its address was given.
    public var mayKnowNames: Bool { isTrusted || self == .unknown }
}

/// What answers `/v1/quotas` and `/v1/users`.
public protocol QuotaKeeper: Sendable {
    func list() -> QuotaList

    /// Anybody may ask; the keeper says whether `peer` may know.
    func quota(of directory: MountPath, for peer: Peer) throws(ControlRefusal) -> QuotaStatus

    /// Of trusted peers only. May take a while.
    func set(_ request: QuotaChangeRequest, on directory: MountPath) throws(ControlRefusal) -> QuotaStatus

    /// Of trusted peers only. Returns what the directory had. May take a while.
    func remove(from directory: MountPath) throws(ControlRefusal) -> QuotaStatus

    /// Of trusted peers and the user himself.
    func quota(ofUser user: UInt32) throws(ControlRefusal) -> UserQuotaStatus

    /// Of trusted peers only. May take a while.
    func set(_ request: QuotaChangeRequest, ofUser user: UInt32) throws(ControlRefusal) -> UserQuotaStatus

    /// Of trusted peers only. Returns what the user had. May take a while.
    func remove(ofUser user: UInt32) throws(ControlRefusal) -> UserQuotaStatus
}
