import Basics
import Support
import Tree

/// Users with limits, who own what is in the picture.
extension QuotaModel {
    private static let users: [UInt32] = [0, 1001, 1002, 1003]

    func user() -> UInt32 { random.pick(Self.users) }

    func changeUser() throws {
        switch random.below(10) {
        case ..<6: try give()
        case ..<9: try limit()
        default: try removeLimit()
        }
    }

    /// chown, at times together with another size.
    private func give() throws {
        let candidate = random.chance(25) ? directory() : file()
        guard let thing = candidate, thing !== root else { return }
        let owner = user()
        let size = !thing.isDirectory && random.chance(30) ? random.below(50_000) : nil
        let isDone = try attempt(size == nil ? "chown" : "chown and truncate") {
            try world.give(thing.node, to: owner, size: size)
        }
        guard isDone else { return }
        thing.owner = owner
        if let size { thing.size = size }
    }

    private func limit() throws {
        let user = user()
        let bytes = 2000 + random.below(random.chance(50) ? 30_000 : 200_000)
        let nodes = random.chance(40) ? 1 + random.below(60) : nil
        let before = figures
        do {
            try world.limit(user, bytes: bytes, nodes: nodes, drains: random.chance(30))
            counts["limit", default: 0] += 1
        } catch let refusal as QuotaRefusal {
            counts["limit: \("\(refusal)".prefix(10))", default: 0] += 1
            let after = figures
            guard after == before else {
                throw Difference(description: "\(refusal), and the figures went \(before) to \(after)")
            }
        }
    }

    private func removeLimit() throws {
        let quotas = world.tree.userQuotas()
        guard !quotas.isEmpty else { return }
        let quota = random.pick(quotas)
        _ = try world.tree.removeQuota(ofUser: quota.user)
        counts["rm of a limit", default: 0] += 1
    }

    /// Each user's limit counts the nodes that the picture says are his.
    func checkUsers() throws {
        var owned: [UInt32: Int] = [:]
        var seen: Set<ObjectIdentifier> = []
        for thing in directories + directories.flatMap(\.children.values) + orphans
        where seen.insert(ObjectIdentifier(thing)).inserted {
            owned[thing.owner, default: 0] += 1
        }
        for (user, state) in world.tree.userQuotas() where state.usedNodes != owned[user, default: 0] {
            throw Difference(
                description: "user \(user) owns \(owned[user, default: 0]) nodes, his limit has \(state)")
        }
    }
}
