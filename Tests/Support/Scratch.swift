import Basics
import CLinux
import Glibc

/// What a POSIX case works with: an empty directory, and a list of what was not as it should be.
///
/// A case goes on after a violation, so that one run shows all of them. Used from the case's own thread only.
package final class Scratch {
    package let directory: Path
    package private(set) var violations: [String] = []
    private var openFiles: [Int32] = []

    package init(_ directory: Path) {
        self.directory = directory
    }

    package subscript(name: String) -> Path { directory / name }
    package subscript(name: [UInt8]) -> Path { directory / name }

    // MARK: Expectations

    package func that(_ holds: Bool, _ what: String, file: StaticString = #fileID, line: Int = #line) {
        if !holds { violations.append("\(file):\(line): \(what)") }
    }

    package func equal<Value: Equatable>(
        _ found: Value, _ wanted: Value, _ what: String = "", file: StaticString = #fileID, line: Int = #line
    ) {
        if found == wanted { return }
        let values = "found \(found), wanted \(wanted)".prefix(400)
        violations.append("\(file):\(line): \(what.isEmpty ? "" : what + ": ")\(values)")
    }

    package func fails<Result>(
        _ code: Int32, _ what: String = "", file: StaticString = #fileID, line: Int = #line,
        _ body: () throws -> Result
    ) {
        fails(anyOf: [code], what, file: file, line: line, body)
    }

    package func fails<Result>(
        anyOf codes: [Int32], _ what: String = "", file: StaticString = #fileID, line: Int = #line,
        _ body: () throws -> Result
    ) {
        let wanted = codes.map { "\(Errno(rawValue: $0))" }.joined(separator: " or ")
        let label = what.isEmpty ? "" : what + ": "
        do {
            let result = try body()
            violations.append("\(file):\(line): \(label)succeeded with \(result), wanted \(wanted)")
        } catch let error as Errno where codes.contains(error.rawValue) {
            return
        } catch {
            violations.append("\(file):\(line): \(label)found \(error), wanted \(wanted)")
        }
    }

    /// Which of a file's times an operation moved must be exactly what is said.
    package func times(
        of path: Path, modified: Bool, changed: Bool, _ what: String = "", file: StaticString = #fileID,
        line: Int = #line, _ body: () throws -> Void
    ) throws {
        let before = try Kernel.lstat(path)
        tick()
        try body()
        let after = try Kernel.lstat(path)
        equal(after.modified > before.modified, modified, "\(what): mtime moved", file: file, line: line)
        equal(after.changed > before.changed, changed, "\(what): ctime moved", file: file, line: line)
    }

    // MARK: Files

    /// Opens a file that is closed when the case ends, if it has not been closed before.
    package func open(_ path: Path, _ flags: Int32, _ mode: UInt32 = 0o644) throws -> Int32 {
        keep(try Kernel.open(path, flags, mode))
    }

    package func keep(_ fd: Int32) -> Int32 {
        openFiles.append(fd)
        return fd
    }

    package func close(_ fd: Int32) throws {
        openFiles.removeAll { $0 == fd }
        try Kernel.close(fd)
    }

    package func closeAll() {
        for fd in openFiles { _ = Glibc.close(fd) }
        openFiles = []
    }

    /// Makes a file with this content, new or over what is there.
    package func make(_ path: Path, _ content: String = "") throws {
        try make(path, Array(content.utf8))
    }

    package func make(_ path: Path, _ content: [UInt8]) throws {
        let fd = try open(path, O_WRONLY | O_CREAT | O_TRUNC)
        if !content.isEmpty { equal(try Kernel.write(fd, content), content.count, "bytes taken") }
        try close(fd)
    }

    package func contents(_ path: Path) throws -> [UInt8] {
        let fd = try open(path, O_RDONLY)
        var bytes: [UInt8] = []
        while true {
            let piece = try Kernel.read(fd, 1 << 20)
            if piece.isEmpty { break }
            bytes += piece
        }
        try close(fd)
        return bytes
    }

    package func text(_ path: Path) throws -> String {
        String(decoding: try contents(path), as: UTF8.self)
    }

    package func exists(_ path: Path) -> Bool {
        (try? Kernel.lstat(path)) != nil
    }

    package func names(_ path: Path) throws -> [String] {
        try Kernel.list(path).map(\.text).sorted()
    }

    /// Waits until the clock that files are stamped with has moved on: one or two ticks of the kernel.
    package func tick() {
        for _ in 0..<2 {
            let start = Self.coarseClock()
            while Self.coarseClock() == start { _ = sched_yield() }
        }
    }

    private static func coarseClock() -> Moment {
        var time = timespec()
        unsafe _ = clock_gettime(CLOCK_REALTIME_COARSE, &time)
        return Moment(time)
    }
}
