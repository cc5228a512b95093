import Basics
import Daemon
import Glibc
import Testing

@Suite("dmemfs run", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct RunTests {
    @Test("as a user and as root: codes, signals, figures, privileges, and nothing is left")
    func command() throws {
        // A trace would be mixed with what the program says.
        try Script.run(Script.apart("run.sh", traced: false), minutes: 20)
    }

    @Test("Ctrl-Z, fg, bg and Ctrl-C at a terminal, and a shell with jobs of its own")
    func terminal() throws {
        try Script.run(["python3", "\(Script.project)/Tests/terminal.py", Program.path], minutes: 5)
    }
}

@Suite("why there are no namespaces")
struct NamespaceTroubleTests {
    private func reason(
        _ error: Errno, isUser: Bool = true, _ settings: [String: Int] = [:]
    ) -> String {
        let failure = NamespaceTrouble(error: error, isUser: isUser) { settings[$0] }.failure
        #expect(failure.status == .mountFailed)
        #expect(!failure.description.contains("\n"))
        return failure.description
    }

    @Test("the setting that forbids them is named")
    func named() {
        let clone = "kernel.unprivileged_userns_clone"
        let armor = "kernel.apparmor_restrict_unprivileged_userns"
        #expect(reason(.notPermitted, [clone: 0]).contains("\(clone) is 0"))
        #expect(reason(.notPermitted, [clone: 1, armor: 1]).contains("\(armor) is 1"))
        #expect(reason(.permissionDenied, [armor: 1]).contains(armor))
        #expect(reason(.noSpace, ["user.max_user_namespaces": 0]).contains("user.max_user_namespaces is 0"))
        let mounts = ["user.max_user_namespaces": 9, "user.max_mnt_namespaces": 0]
        #expect(reason(.noSpace, mounts).contains("user.max_mnt_namespaces is 0"))
        #expect(reason(.invalidArgument).contains("CONFIG_USER_NS"))
        #expect(reason(.notPermitted).contains("seccomp"))
        #expect(reason(.notPermitted, isUser: false).contains("CAP_SYS_ADMIN"))
    }
}
