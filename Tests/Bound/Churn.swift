import Basics
import Glibc
import Support

/// Fills a mount to 95 %, removes half of the files at random and fills again, ten times. Sizes are mixed.
struct Churn: Pattern {
    let limitBytes: Int
    private static let rounds = 10

    let name = "fill, delete half, refill"
    var amount: String { "\(Churn.rounds) rounds of \(limitBytes >> 20) MiB" }
    let parts = 1
    let expectsRefusal = true
    var ampleBytes: Int { limitBytes }

    /// 50 bytes to 300 KiB, as many small ones as large ones on a scale of doubling.
    private func contents(_ number: Int) -> [UInt8] {
        var random = Generator(seed: UInt64(number))
        let ceiling = 100 << random.below(13)
        let count = min(ceiling / 2 + random.below(ceiling / 2), 300 << 10)
        return Patterns.stamp(number, count)
    }

    private func name(_ number: Int) -> String { "f\(number)" }

    /// Until `permille` of the mount's limit is used, as statvfs(2) tells, or a file is refused.
    func fill(_ hands: Hands, part: Int) throws -> Filling {
        var filling = Filling()
        var random = Generator(seed: Generator.seed(usual: 4711))
        var next = 0
        for round in 0..<Churn.rounds {
            while true {
                if next % 16 == 0 {
                    let found = try Kernel.statvfs(hands.path)
                    if found.f_bavail * 20 <= found.f_blocks { break }
                }
                do {
                    try hands.store(name(next), contents(next))
                } catch Errno.noSpace {
                    break
                }
                filling.kept.append(next)
                next += 1
            }
            if round == Churn.rounds - 1 { break }
            for index in stride(from: filling.kept.count - 1, through: 0, by: -1) where random.chance(50) {
                try hands.remove(name(filling.kept[index]))
                filling.kept.swapAt(index, filling.kept.count - 1)
                filling.kept.removeLast()
            }
        }
        filling.steps = filling.kept.count
        filling.isRefused = try fillUp(hands, &filling, from: next)
        return filling
    }

    /// On to the very end: files until one is refused.
    private func fillUp(_ hands: Hands, _ filling: inout Filling, from first: Int) throws -> Bool {
        for number in first..<first + 1_000_000 {
            do {
                try hands.store(name(number), contents(number))
            } catch Errno.noSpace {
                return true
            }
            filling.kept.append(number)
        }
        return false
    }

    func check(_ hands: Hands, part: Int, _ filling: Filling) throws {
        for number in filling.kept {
            let wanted = contents(number)
            if try hands.contents(of: name(number), wanted.count) != wanted {
                throw Damage(description: "file \(number) is not as it was stored")
            }
        }
    }

    func remove(_ hands: Hands, part: Int, _ filling: Filling) throws {
        for number in filling.kept { try hands.remove(name(number)) }
    }
}
