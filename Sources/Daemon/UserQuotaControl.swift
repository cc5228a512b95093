import Accounting
import Basics
import Control
import Tree

/// The limits of users, by number.
extension QuotaControl {
    func quota(ofUser user: UInt32) throws(ControlRefusal) -> UserQuotaStatus {
        guard let state = tree.quota(ofUser: user) else {
            throw ControlRefusal(.refused, reason(.none, of: user))
        }
        return UserQuotaStatus(user, state)
    }

    func set(_ request: QuotaChangeRequest, ofUser user: UInt32) throws(ControlRefusal) -> UserQuotaStatus {
        let change = try change(of: request)
        do throws(QuotaRefusal) {
            return UserQuotaStatus(user, try tree.setQuota(ofUser: user, to: change))
        } catch {
            throw ControlRefusal(.refused, "no change: \(reason(error, of: user, change))")
        }
    }

    func remove(ofUser user: UInt32) throws(ControlRefusal) -> UserQuotaStatus {
        do throws(QuotaRefusal) {
            return UserQuotaStatus(user, try tree.removeQuota(ofUser: user))
        } catch {
            throw ControlRefusal(.refused, reason(error, of: user))
        }
    }

    private func reason(
        _ refusal: QuotaRefusal, of user: UInt32, _ request: QuotaRequest = QuotaRequest()
    ) -> String {
        switch refusal {
        case .engine:
            "limits of users need an engine that asks for each write: mount \(mountpoint) with "
                + "'--io memory' or '--io strict'"
        case .none: "user \(user) has no limit on \(mountpoint): 'dmemfs quota set --user' gives one"
        case .noRoom(let free):
            "a limit takes \(QuotaLevel.cost) bytes, and \(mountpoint) has \(Self.figure(free)) free"
        case .notSetAside: "--reserve is for directories: a user may own files anywhere"
        default: reason(refusal, of: "user \(user) on \(mountpoint)", request)
        }
    }
}

extension UserQuotaStatus {
    init(_ user: UInt32, _ state: QuotaState) {
        self.init(
            user: user, maxBytes: state.maxBytes, maxNodes: state.maxNodes, usedBytes: state.usedBytes,
            usedNodes: state.usedNodes)
    }
}
