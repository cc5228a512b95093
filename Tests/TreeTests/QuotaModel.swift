import Accounting
import Basics
import Glibc
import Support
import Tree

/// Random operations of several users across quotas on a bare tree, beside a plain picture of who lies where
/// and who owns it.
///
/// The picture says which operation must be refused with EXDEV, and how many nodes a user has; what is
/// refused for want of room must leave every figure as it was. The tree's own invariants say whether each
/// level counts exactly what is below it.
final class QuotaModel {
    struct Difference: Error, CustomStringConvertible {
        var description: String
    }

    /// A directory or file of the picture.
    final class Thing {
        let node: NodeID
        let isDirectory: Bool
        var size = 0
        /// The directories that it has names in, each as often as it has.
        var homes: [Thing]
        var children: [String: Thing] = [:]
        var hasQuota = false
        var owner: UInt32

        init(_ node: NodeID, isDirectory: Bool, of owner: UInt32, in home: Thing?) {
            self.node = node
            self.isDirectory = isDirectory
            self.owner = owner
            homes = home.map { [$0] } ?? []
        }

        /// The innermost directory with a quota, or the root.
        var domain: Thing {
            var thing = self
            while !thing.hasQuota, let home = thing.homes.first { thing = home }
            return thing
        }

        func lies(in directory: Thing) -> Bool {
            var thing: Thing? = self
            while let current = thing {
                if current === directory { return true }
                thing = current.homes.first
            }
            return false
        }
    }

    let world: QuotaWorld
    let root = Thing(.root, isDirectory: true, of: 0, in: nil)
    var random: Generator
    private(set) var directories: [Thing]
    private(set) var orphans: [Thing] = []
    private let start: Usage
    /// On a private tmpfs, where nothing can be set aside.
    private let isBacked: Bool
    var counts: [String: Int] = [:]

    init(seed: UInt64, bytes: Int, nodes: Int, isBacked: Bool) throws {
        self.isBacked = isBacked
        world = try QuotaWorld(bytes: bytes, nodes: nodes, isBacked: isBacked)
        random = Generator(seed: seed)
        directories = [root]
        start = world.tree.usage
    }

    func run(steps: Int, checkEvery interval: Int) throws {
        for step in 1...steps {
            try self.step()
            if step % interval == 0 { try check() }
        }
        try check()
        try removeEverything()
        for quota in world.tree.userQuotas() {
            let state = try world.tree.removeQuota(ofUser: quota.user)
            guard state.usedNodes == (quota.user == 0 ? 1 : 0) else {
                throw Difference(description: "all is removed, and user \(quota.user) has \(state)")
            }
        }
        var end = world.tree.usage
        // A file of the tmpfs ends with the last copy of its descriptor, which a process has that another
        // test forks just now, until its exec.
        for _ in 0..<1000 where isBacked && end.usedBytes != start.usedBytes {
            usleep(10_000)
            end = world.tree.usage
        }
        guard end.usedBytes == start.usedBytes, end.nodes == start.nodes, world.tree.quotas().isEmpty else {
            throw Difference(description: "all is removed, and the usage went from \(start) to \(end)")
        }
    }

    private func check() throws {
        world.tree.checkInvariants()
        try checkUsers()
    }

    // MARK: - Picking

    func some(_ things: [Thing]) -> Thing? {
        things.isEmpty ? nil : things[random.below(things.count)]
    }

    func directory() -> Thing { some(directories) ?? root }

    private func name() -> String { "n\(random.below(6))" }

    /// A name that is there, and what it stands for; the orders of dictionaries are kept out of it.
    func entry(where isWanted: (Thing) -> Bool) -> (home: Thing, name: String, thing: Thing)? {
        for _ in 0..<8 {
            let home = directory()
            let names = home.children.keys.sorted()
            guard !names.isEmpty else { continue }
            let name = names[random.below(names.count)]
            if let thing = home.children[name], isWanted(thing) { return (home, name, thing) }
        }
        return nil
    }

    // MARK: - Steps

    private func step() throws {
        switch random.below(100) {
        case ..<18: try make(isDirectory: false)
        case ..<26: try make(isDirectory: true)
        case ..<44: try write()
        case ..<52: try truncate()
        case ..<62: try remove()
        case ..<78: try rename()
        case ..<86: try link()
        case ..<90: try temporary()
        case ..<93: try forget()
        case ..<96: try setQuota()
        case ..<97: try removeQuota()
        default: try changeUser()
        }
    }

    /// Every figure that a refusal must leave.
    var figures: [Int] {
        let usage = world.tree.usage
        var figures = [usage.chargedBytes, usage.nodes, usage.openUnlinkedBytes]
        for thing in directories {
            guard let state = world.tree.quota(of: thing.node) else { continue }
            figures += [state.usedBytes, state.usedNodes, state.maxBytes ?? 0, state.maxNodes ?? 0]
        }
        for (user, state) in world.tree.userQuotas() {
            figures += [Int(user), state.usedBytes, state.usedNodes]
            figures += [state.maxBytes ?? 0, state.maxNodes ?? 0]
        }
        return figures
    }

    /// Runs an operation. Returns whether it succeeded; it must be refused where it `crosses` a border.
    func attempt(
        _ what: String, crosses: Bool = false, _ body: () throws -> Void
    ) throws -> Bool {
        let before = figures
        do {
            try body()
        } catch let error as Errno {
            counts["\(what): \(error.rawValue)", default: 0] += 1
            let allowed: [Errno] =
                crosses ? [.improperLink] : [.diskQuotaExceeded, .noSpace, .tooManyOpenFiles]
            guard allowed.contains(error) else {
                throw Difference(
                    description: "\(what) was refused with \(error), which is none of \(allowed)")
            }
            let after = figures
            guard after == before else {
                throw Difference(
                    description: "\(what) was refused, and the figures went \(before) to \(after)")
            }
            return false
        }
        counts[what, default: 0] += 1
        if crosses { throw Difference(description: "\(what) crossed a border") }
        return true
    }

    private func make(isDirectory: Bool) throws {
        let (home, name) = (directory(), name())
        guard home.children[name] == nil else { return }
        guard !isDirectory || directories.count < 40 else { return }
        var node: NodeID?
        let user = user()
        let isDone = try attempt(isDirectory ? "mkdir" : "create") {
            node =
                isDirectory
                ? try world.directory(name, in: home.node, by: user)
                : try world.file(name, in: home.node, by: user)
        }
        guard isDone, let node else { return }
        let thing = Thing(node, isDirectory: isDirectory, of: user, in: home)
        home.children[name] = thing
        if isDirectory { directories.append(thing) }
    }

    func file() -> Thing? {
        if random.chance(10), let orphan = some(orphans) { return orphan }
        return entry { !$0.isDirectory }?.thing
    }

    private func write() throws {
        guard let file = file(), file.size < 40_000 else { return }
        let count = 1 + random.below(random.chance(10) ? 20_000 : 2000)
        if try attempt("write", { try world.write(count, to: file.node, at: file.size) }) {
            file.size += count
        }
    }

    private func truncate() throws {
        guard let file = file() else { return }
        var changes = AttributeChanges()
        changes.size = Int64(random.below(file.size + 1))
        _ = try world.tree.setAttributes(changes, of: file.node)
        file.size = Int(changes.size ?? 0)
    }

    private func remove() throws {
        guard let (home, name, thing) = entry(where: { !$0.isDirectory || $0.children.isEmpty }) else {
            return
        }
        if thing.isDirectory {
            try world.removeDirectory(name, in: home.node)
        } else {
            try world.remove(name, in: home.node, keeping: true)
        }
        drop(name, of: home)
    }

    /// The name is gone from the picture; a file without another is an orphan until it is forgotten.
    private func drop(_ name: String, of home: Thing) {
        guard let thing = home.children.removeValue(forKey: name) else { return }
        if let index = thing.homes.firstIndex(where: { $0 === home }) { thing.homes.remove(at: index) }
        if thing.isDirectory {
            directories.removeAll { $0 === thing }
        } else if thing.homes.isEmpty {
            orphans.append(thing)
        }
    }

    private func forget() throws {
        guard let orphan = some(orphans) else { return }
        orphans.removeAll { $0 === orphan }
        world.tree.forget(orphan.node, count: .max)
    }

    private func rename() throws {
        guard let (home, name, thing) = entry(where: { _ in true }) else { return }
        let (target, newName) = (directory(), self.name())
        let old = target.children[newName]
        if thing.isDirectory, target.lies(in: thing) { return }
        let isBorder = home.domain !== target.domain
        if let old, random.chance(30) {
            if old === thing || old.isDirectory && home.lies(in: old) { return }
            let isDone = try attempt("exchange", crosses: isBorder) {
                try world.rename(name, in: home.node, to: newName, in: target.node, .exchange)
            }
            guard isDone else { return }
            (home.children[name], target.children[newName]) = (old, thing)
            move(thing, from: home, to: target)
            return move(old, from: target, to: home)
        }
        if let old {
            if old.isDirectory != thing.isDirectory || !old.children.isEmpty || old === thing { return }
        }
        let crosses = isBorder && (thing.isDirectory || thing.homes.count > 1)
        let isDone = try attempt(isBorder ? "rename across" : "rename", crosses: crosses) {
            try world.rename(name, in: home.node, to: newName, in: target.node)
        }
        guard isDone else { return }
        if old != nil { drop(newName, of: target) }
        home.children[name] = nil
        target.children[newName] = thing
        move(thing, from: home, to: target)
    }

    private func move(_ thing: Thing, from home: Thing, to target: Thing) {
        if let index = thing.homes.firstIndex(where: { $0 === home }) { thing.homes[index] = target }
    }

    private func link() throws {
        guard let (home, _, thing) = entry(where: { !$0.isDirectory }) else { return }
        let (target, name) = (directory(), name())
        guard target.children[name] == nil else { return }
        let isDone = try attempt("link", crosses: home.domain !== target.domain) {
            try world.link(thing.node, as: name, in: target.node)
        }
        guard isDone else { return }
        target.children[name] = thing
        thing.homes.append(target)
    }

    /// A file without a name, made in one directory and linked into another.
    private func temporary() throws {
        let (home, target, name) = (directory(), directory(), name())
        var node: NodeID?
        let user = user()
        let isMade = try attempt("O_TMPFILE") { node = try world.temporary(in: home.node, by: user) }
        guard isMade, let node else { return }
        let thing = Thing(node, isDirectory: false, of: user, in: nil)
        orphans.append(thing)
        if try attempt("write", { try world.write(1 + random.below(5000), to: node) }) {
            thing.size = Int(try world.tree.attributes(of: node).size)
        }
        guard target.children[name] == nil else { return }
        guard try attempt("link of O_TMPFILE", { try world.link(node, as: name, in: target.node) }) else {
            return
        }
        orphans.removeAll { $0 === thing }
        target.children[name] = thing
        thing.homes = [target]
    }

    // MARK: - Quotas

    private func setQuota() throws {
        let thing = directory()
        guard thing !== root else { return }
        let bytes = 2000 + random.below(random.chance(50) ? 60_000 : 400_000)
        let nodes = random.chance(40) ? 1 + random.below(60) : nil
        let isNew = !thing.hasQuota
        let setsAside = isNew && !isBacked && random.chance(25)
        let drains = !setsAside && random.chance(20)
        let before = figures
        do {
            try world.set(thing.node, bytes: bytes, nodes: nodes, setsAside: setsAside, drains: drains)
        } catch let refusal as QuotaRefusal {
            counts["set: \("\(refusal)".prefix(10))", default: 0] += 1
            if case .linkOutside = refusal, !isNew || !hasStray(below: thing) {
                throw Difference(description: "a link from outside is not there")
            }
            let after = figures
            guard after == before else {
                throw Difference(description: "\(refusal), and the figures went \(before) to \(after)")
            }
            return
        }
        counts[setsAside ? "set aside" : "set", default: 0] += 1
        if isNew, hasStray(below: thing) { throw Difference(description: "a link from outside was let pass") }
        thing.hasQuota = true
    }

    /// Whether a file of the directory's own part has a name outside of that part.
    private func hasStray(below top: Thing) -> Bool {
        directories.contains { directory in
            guard directory.lies(in: top), directory === top || directory.domain === top.domain else {
                return false
            }
            return directory.children.values.contains { child in
                !child.isDirectory && child.homes.contains { !$0.lies(in: top) }
            }
        }
    }

    private func removeQuota() throws {
        guard let thing = some(directories.filter(\.hasQuota)) else { return }
        try world.tree.removeQuota(of: thing.node)
        thing.hasQuota = false
        counts["rm", default: 0] += 1
    }

    private func removeEverything() throws {
        for thing in directories.reversed() {
            for (name, child) in thing.children where !child.isDirectory {
                try world.remove(name, in: thing.node, keeping: true)
                drop(name, of: thing)
            }
        }
        while let leaf = directories.first(where: { $0 !== root && $0.children.isEmpty }) {
            guard let home = leaf.homes.first,
                let name = home.children.first(where: { $0.value === leaf })?.key
            else { break }
            try world.removeDirectory(name, in: home.node)
            drop(name, of: home)
        }
        while !orphans.isEmpty { try forget() }
        world.tree.checkInvariants()
    }
}
