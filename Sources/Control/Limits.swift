/// What `PUT /v1/limits` asks: the limits to change, as the command line writes them. What is absent stays.
public struct LimitsRequest: Hashable, Sendable, Codable {
    /// `2G`, or a share of the memory such as `25%`.
    public var size: String?
    /// `1000` or `64k`.
    public var maxNodes: String?
    /// Also below what is in use: nothing grows then until use has fallen.
    public var drain: Bool?

    public init(size: String?, maxNodes: String?, drain: Bool) {
        self.size = size
        self.maxNodes = maxNodes
        self.drain = drain
    }

    enum CodingKeys: String, CodingKey {
        case size
        case maxNodes = "max_nodes"
        case drain
    }
}

/// What `PUT /v1/limits` answers: the limits from now on, and what is in use.
public struct LimitsAnswer: Hashable, Sendable, Codable {
    public var limitBytes: Int
    public var usedBytes: Int
    public var maxNodes: OptionalCount
    public var nodes: Int
    /// What speaks against the new limits; absent where nothing does.
    public var warning: String?

    public init(limitBytes: Int, usedBytes: Int, maxNodes: Int?, nodes: Int, warning: String?) {
        self.limitBytes = limitBytes
        self.usedBytes = usedBytes
        self.maxNodes = OptionalCount(maxNodes)
        self.nodes = nodes
        self.warning = warning
    }

    enum CodingKeys: String, CodingKey {
        case limitBytes = "limit_bytes"
        case usedBytes = "used_bytes"
        case maxNodes = "max_nodes"
        case nodes, warning
    }
}

/// A daemon's no to what it understood, or should have: one English line.
public struct ControlRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Cause: Hashable, Sendable, CaseIterable {
        /// The request is not of the documented form.
        case malformed
        /// Not for this user.
        case denied
        /// The state of the mount does not allow it.
        case refused

        /// The status of HTTP that says so.
        var status: String {
            switch self {
            case .malformed: "400 Bad Request"
            case .denied: "403 Forbidden"
            case .refused: "409 Conflict"
            }
        }
    }

    /// To others than root and the mount's owner.
    public static let stranger = ControlRefusal(
        .denied, "permission denied: only root and the mount's owner")

    public let cause: Cause
    public let description: String

    public init(_ cause: Cause, _ description: String) {
        self.cause = cause
        self.description = description
    }
}
