import Basics
import Glibc
import Support

/// Files that share pages of memory, of which all but one in each page are removed, and then one large file:
/// the freed pieces serve it nothing, and yet they are held.
struct Thinned: Pattern {
    let files: Int

    let name = "small, thinned, then large"
    var amount: String { "\(files) of 1000 bytes" }
    let parts = 1
    let expectsRefusal = true
    var ampleBytes: Int { files * 1700 }
    private static let pieceBytes = 64 << 10

    private func name(_ number: Int) -> String { "d\(number / 1000)/f\(number)" }

    func fill(_ hands: Hands, part: Int) throws -> Filling {
        var filling = Filling()
        var made = 0
        do {
            while made < files {
                try hands.inFolder("d\(made / 1000)") {
                    try hands.store(name(made), Patterns.stamp(made, 1000))
                }
                made += 1
            }
        } catch Errno.noSpace {}
        for number in 0..<made {
            if number % 4 == 0 { filling.kept.append(number) } else { try hands.remove(name(number)) }
        }
        let large = try hands.open("large", O_CREAT | O_WRONLY)
        defer { _ = Glibc.close(large) }
        do {
            while filling.steps < 1 << 20 {
                let bytes = Patterns.stamp(filling.steps, Thinned.pieceBytes)
                try hands.write(large, bytes, at: filling.steps * Thinned.pieceBytes)
                filling.steps += 1
            }
        } catch Errno.noSpace {
            filling.isRefused = true
        }
        return filling
    }

    func check(_ hands: Hands, part: Int, _ filling: Filling) throws {
        for number in filling.kept {
            if try hands.contents(of: name(number), 1000) != Patterns.stamp(number, 1000) {
                throw Damage(description: "file \(number) is not as it was stored")
            }
        }
        let large = try hands.open("large", O_RDONLY)
        defer { _ = Glibc.close(large) }
        for step in 0..<filling.steps {
            let bytes = try Kernel.read(large, at: step * Thinned.pieceBytes, Thinned.pieceBytes)
            if bytes != Patterns.stamp(step, Thinned.pieceBytes) {
                throw Damage(description: "piece \(step) of the large file is not as it was stored")
            }
        }
    }

    func remove(_ hands: Hands, part: Int, _ filling: Filling) throws {
        for number in filling.kept { try hands.remove(name(number)) }
    }
}
