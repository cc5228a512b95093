import Basics
import Glibc
import Support

/// The program in less address space than its limit needs: what cannot be mapped is refused with ENOSPC, and
/// nothing crashes.
enum AddressSpace {
    private static let mebibytes = [60, 350, 700]

    static func run(_ engine: String) -> [String] {
        var faults: [String] = []
        for space in mebibytes {
            do {
                print("address space of \(space) MiB, limit 4 GiB: \(try fill(space, engine))")
            } catch {
                faults.append("\(engine), address space of \(space) MiB: \(error)")
            }
            flushOutput()
        }
        return faults
    }

    private static func fill(_ mebibytes: Int, _ engine: String) throws -> String {
        let mount: MountFixture
        do {
            mount = try MountFixture(
                ["--size", "4G", "--io", engine], seconds: 120,
                after: "ulimit -v \(mebibytes << 10) && ulimit -c 0")
        } catch let failure as MountFixture.Failure {
            // Too little to begin with must be said in words, and is no crash.
            guard failure.description.contains("dmemfs: ") else { throw failure }
            return "refused at the start"
        }
        var said: [String] = []
        do {
            let hands = try Hands(below: mount.path)
            let words = ["1024 KiB", "xattrs", "holes", "each GiB"]
            for pattern in Patterns.all(isQuick: true) where words.contains(where: pattern.name.contains) {
                let filling = try pattern.fill(hands, part: 0)
                try pattern.check(hands, part: 0, filling)
                try pattern.remove(hands, part: 0, filling)
                try hands.removeTop()
                if filling.isRefused { said.append("\(pattern.name) at \(filling.steps)") }
            }
            hands.done()
        } catch {
            _ = mount.stop()
            throw Damage(description: "\(error), the daemon said \(mount.said())")
        }
        if let trouble = mount.stop() { throw Damage(description: trouble) }
        return "refused, and intact: \(said.joined(separator: ", "))"
    }
}
