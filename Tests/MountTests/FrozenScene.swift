import Basics
import Glibc
import Support
import Testing

/// A mount, a folder beside it for what is copied, and the programs that use both.
final class FrozenScene {
    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    private static let prelude = """
        import ctypes, os, stat
        libc = ctypes.CDLL(None)
        def put(name, text, flags=os.O_WRONLY | os.O_CREAT):
            fd = os.open(name, flags)
            os.write(fd, text.encode())
            os.close(fd)
        def get(name):
            with open(name) as file: return file.read()

        """

    let mount: MountFixture
    let folder: Path
    let program: String
    private let log: Int32
    private var hasEnded = false
    /// Each leads a process group of its own.
    private var started: [Int32] = []

    init(_ arguments: [String]) throws {
        program = try MountFixture.program()
        folder = try PlainDirectory.makeTemporary(below: "/tmp")
        log = try Program.temporaryFile()
        mount = try MountFixture(arguments, seconds: 240)
    }

    /// Whatever happened before.
    func clear() {
        if !hasEnded {
            // Where a test has failed, what it started may wait for ever for what it did not do.
            for child in started { _ = kill(-child, SIGKILL) }
            _ = kill(mount.process, SIGTERM)
            _ = mount.stop()
        }
        _ = close(log)
        _ = try? Program.run(["rm", "-rf", "\(folder)"], in: "/")
    }

    func end() throws {
        hasEnded = true
        let trouble = mount.stop()
        #expect(trouble == nil)
    }

    /// What those have said that were started.
    func said() -> String { (try? Program.everything(in: log)) ?? "" }

    func run(_ script: String, _ argument: Path = "") throws -> Program.Result {
        try Program.run(["sh", "-euc", script, "sh", "\(argument)"], in: folder, seconds: 60)
    }

    @discardableResult
    func shell(_ script: String, _ argument: Path = "") throws -> String {
        let result = try run(script, argument)
        if result.status != 0 {
            throw Failure("\(script): \(result.status): \(result.output)")
        }
        return result.output
    }

    func makeFolder(_ name: String) throws -> String {
        try Kernel.mkdir(mount.path / name)
        return name
    }

    /// Runs a Python program in a directory of the mount.
    func python(_ act: String, in name: String = ".") throws {
        let child = try startPython(act, in: name)
        let status = try Program.wait(for: child, seconds: 30)
        if status != 0 { throw Failure("\(act): \(said())") }
    }

    func startPython(_ act: String, in name: String = ".") throws -> Int32 {
        let script = Self.prelude + act
        let child = try Program.start(["python3", "-c", script], in: mount.path / name, output: log)
        started.append(child)
        return child
    }

    /// Starts `dmemfs freeze` with a command, in the folder.
    func freezing(_ command: String, timeout: String = "100s", waiting: Bool = false) throws -> Int32 {
        let words = waiting ? ["--wait"] : ["--", "sh", "-euc", command]
        let client = try Program.start(
            [program, "freeze", "\(mount.path)", "--timeout", timeout] + words, in: folder, output: log)
        started.append(client)
        return client
    }

    func awaitFreeze() throws { try awaitStatus { $0["parked_requests"] != nil } }

    func awaitThaw() throws { try awaitStatus { $0["parked_requests"] == nil } }

    func awaitParked(_ count: Int) throws { try awaitStatus { $0["parked_requests"] == count } }

    /// There is no event for what the status tells.
    private func awaitStatus(_ condition: (MountFixture.Status) -> Bool) throws {
        if try Patience.until(seconds: 60, { try condition(mount.status()) }) { return }
        throw Failure("still \(try mount.status()); \(said())")
    }
}
