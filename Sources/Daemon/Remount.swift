public import Control
import Basics
import Glibc

/// What `mount -o remount,…` changes of a living mount: its limits, and the flags that it names. What it does
/// not name stays as it is, and so does what only a new mount could change.
public struct Remount: Sendable {
    private let limits: LimitsRequest
    /// Words that stand for flags, in their order.
    private let words: [String]
    public let warnings: [String]

    /// Whether these settings ask for a remount.
    public static func isAsked(by settings: [Setting]) -> Bool {
        settings.contains { $0.name == "remount" }
    }

    /// - Parameter request: with the same words as a mount, which are checked as for one.
    public init(validating request: MountRequest, asUser user: UInt32) throws(ConfigurationError) {
        var draft = Draft(asUser: user, group: 0, ignoringUnknown: request.ignoresUnknown)
        var limits = LimitsRequest(size: nil, maxNodes: nil, drain: false)
        var words: [String] = []
        for setting in request.settings
        where setting.name != "remount" && setting.name != "config" {
            draft.apply(setting)
            switch setting.name {
            case "size": limits.size = setting.value
            case "nr_blocks":
                // In pages, which the control socket does not know. What is no number is a fault by now.
                if case .bytes(let count) = draft.size { limits.size = "\(count.bytes)" }
            case "nr_inodes", "max_nodes": limits.maxNodes = setting.value
            default: words.append(setting.name)
            }
        }
        guard draft.faults.isEmpty else { throw ConfigurationError(faults: draft.faults) }
        self.limits = limits
        self.words = words
        warnings = draft.warnings
    }

    /// Changes `mount`, all or nothing. Returns what the daemon warns of.
    public func apply(to mount: MountEntry) throws(Failure) -> String? {
        var flags = MountFlags(of: mount)
        let present = flags
        for word in words { flags.apply(word) }
        let before = try status(of: mount)
        let warning = try change(limits(over: before), of: mount)
        guard flags != present else { return warning }
        do throws(Errno) {
            try flags.set(on: mount.mountpoint)
        } catch {
            let place = mount.mountpoint
            // What was granted a moment ago is asked back; a limit that is now below use may stay below it.
            _ = try change(
                LimitsRequest(
                    size: "\(before.limitBytes)", maxNodes: before.maxNodes.value.map { "\($0)" }, drain: true
                ),
                of: mount)
            throw switch error {
            case .resourceBusy:
                Failure(
                    .mountFailed,
                    "cannot make \(place) read-only, \(Holders.summary(of: place)): end who writes there")
            case .notPermitted:
                Failure(.mountFailed, "cannot change the flags of \(place): that is for root only")
            default: Failure(.mountFailed, "cannot remount \(place): \(Wording.of(error))")
            }
        }
        return warning
    }

    private func status(of mount: MountEntry) throws(Failure) -> Status {
        do throws(ControlError) {
            return try Client.status(of: mount)
        } catch {
            throw Failure(.mountFailed, "cannot remount \(mount.mountpoint): \(error)")
        }
    }

    /// The limits that are asked for, without those that hold already.
    private func limits(over status: Status) throws(Failure) -> LimitsRequest {
        var limits = limits
        if limits.maxNodes == "0" {
            guard status.maxNodes.value == nil else {
                throw Failure(
                    .mountFailed,
                    "the node limit of a living mount cannot be lifted: name a number instead of 0")
            }
            limits.maxNodes = nil
        }
        return limits
    }

    private func change(_ limits: LimitsRequest, of mount: MountEntry) throws(Failure) -> String? {
        guard limits.size != nil || limits.maxNodes != nil else { return nil }
        do throws(ControlError) {
            switch try Client.setLimits(limits, of: mount) {
            case .success(let answer): return answer.warning
            case .failure(let refusal):
                throw ControlError(refusal.description)
            }
        } catch {
            throw Failure(.mountFailed, "\(error)")
        }
    }
}
