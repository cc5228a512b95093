import Basics
import Glibc
import Testing

@Suite("the systemd units")
struct UnitTests {
    private static let systemUnit = "\(Script.project)/systemd/dmemfs@.service"
    private static let userUnit = "\(Script.project)/systemd/user/dmemfs@.service"
    private static let slice = "\(Script.project)/systemd/dmemfs.slice"
    private static let mountUnit = "\(Script.project)/systemd/examples/mnt-scratch.mount"

    private static func has(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

    @Test(
        "systemd finds nothing wrong with them",
        .enabled(if: has("/usr/bin/systemd-analyze"), "no systemd-analyze"),
        arguments: [systemUnit, userUnit, slice, mountUnit])
    func verified(unit: String) throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let copy = "\(folder)/\(unit.split(separator: "/").last ?? "")"
        let edit = "sed 's|/usr/bin/dmemfs|\(Program.path)|' '\(unit)' >'\(copy)'"
        #expect(Program.spawnAndWait("/bin/sh", ["sh", "-c", edit], into: "\(folder)/sed") == 0)
        // The manuals it names need not be installed yet.
        let manager = unit == Self.userUnit ? "--user" : "--system"
        let words = [
            "env", "XDG_RUNTIME_DIR=\(folder)", "systemd-analyze", manager, "verify", "--man=no", copy,
        ]
        let code = Program.spawnAndWait("/usr/bin/env", words, into: "\(folder)/verify")
        let said = try Files.text(of: "\(folder)/verify.err")
        #expect(code == 0 && !said.contains(folder) && !said.contains("dmemfs@"), "\(said)")
    }

    @Test(
        "no directive gives them a mount namespace, which would hide the mount from the host",
        arguments: [systemUnit, userUnit])
    func visible(unit: String) throws {
        let hiding = [
            "Private", "ProtectSystem", "ProtectHome", "ProtectKernel", "ProtectControlGroups", "ProtectProc",
            "ProcSubset", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths",
            "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "MountFlags", "MountImages", "Extension",
            "Root", "DynamicUser", "LogNamespace", "JoinsNamespaceOf",
        ]
        for line in try Files.text(of: unit).split(separator: "\n") where !line.hasPrefix("#") {
            #expect(!hiding.contains { line.hasPrefix($0) }, "\(line)")
        }
    }

    @Test(
        "under a real systemd: start, reload, kill -9, hang, stop, stop while in use, fail to start",
        .enabled(if: Program.canMount && has("/lib/systemd/systemd"), "no mount here, or no systemd"))
    func booted() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let words = ["sh", "\(Script.project)/Tests/systemd.sh", Program.path, "\(Script.project)/systemd"]
        let code = Program.spawnAndWait("/bin/sh", words, into: "\(folder)/systemd")
        let said = try Files.text(of: "\(folder)/systemd.out")
        if code == 77 || said.contains("not tried") { print("under a real systemd: \(said)", terminator: "") }
        guard code != 77 else { return }
        let complaint = try Files.text(of: "\(folder)/systemd.err")
        #expect(code == 0, "\(said)\(complaint)")
    }
}
