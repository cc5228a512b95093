import Basics
import Glibc
import Testing

@Suite("the systemd unit")
struct UnitTests {
    /// The project's folder, as this file was compiled.
    private static let project: String = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()
    private static let unit = "\(project)/systemd/dmemfs@.service"

    private static func has(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

    @Test(
        "systemd finds nothing wrong with it",
        .enabled(if: has("/usr/bin/systemd-analyze"), "no systemd-analyze"))
    func verified() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let copy = "\(folder)/dmemfs@.service"
        let edit = "sed 's|/usr/bin/dmemfs|\(Program.path)|' '\(Self.unit)' >'\(copy)'"
        #expect(Program.spawnAndWait("/bin/sh", ["sh", "-c", edit], into: "\(folder)/sed") == 0)
        // The manuals it names need not be installed yet.
        let words = ["systemd-analyze", "verify", "--man=no", copy]
        let code = Program.spawnAndWait("/usr/bin/systemd-analyze", words, into: "\(folder)/verify")
        let said = try Files.text(of: "\(folder)/verify.err")
        #expect(code == 0 && !said.contains("dmemfs@"), "\(said)")
    }

    @Test("no directive gives it a mount namespace, which would hide the mount from the host")
    func visible() throws {
        let hiding = [
            "Private", "ProtectSystem", "ProtectHome", "ProtectKernel", "ProtectControlGroups", "ProtectProc",
            "ProcSubset", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths",
            "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "MountFlags", "MountImages", "Extension",
            "Root", "DynamicUser", "LogNamespace", "JoinsNamespaceOf",
        ]
        for line in try Files.text(of: Self.unit).split(separator: "\n") where !line.hasPrefix("#") {
            #expect(!hiding.contains { line.hasPrefix($0) }, "\(line)")
        }
    }

    @Test(
        "under a real systemd: start, use from outside, kill -9, restart, stop",
        .enabled(if: Program.canMount && has("/lib/systemd/systemd"), "no mount here, or no systemd"))
    func booted() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let words = ["sh", "\(Self.project)/Tests/systemd.sh", Program.path, Self.unit]
        let code = Program.spawnAndWait("/bin/sh", words, into: "\(folder)/systemd")
        let said = try Files.text(of: "\(folder)/systemd.out")
        guard code != 77 else {
            print("under a real systemd: \(said)", terminator: "")
            return
        }
        let complaint = try Files.text(of: "\(folder)/systemd.err")
        #expect(code == 0, "\(said)\(complaint)")
    }
}
