import Basics
import Glibc
import Support
import Testing

@Suite("The POSIX cases", .serialized)
struct PosixTests {
    @Test("every case passes on a plain tmpfs")
    func plain() throws {
        let place = try PlainDirectory()
        defer { place.remove() }
        report(PosixCases.all, below: place.path)
    }

    /// Runs the cases one after the other and records each violation.
    private func report(_ cases: [PosixCase], below place: Path) {
        for (index, item) in cases.enumerated() {
            if item.needsRoot && geteuid() != 0 { continue }
            for violation in item.run(below: place, index: index) {
                Issue.record("\(item.name): \(violation)")
            }
        }
    }
}
