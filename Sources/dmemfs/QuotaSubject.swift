import ArgumentParser
import Daemon

/// Whose quota a command is about: a directory's, or with `--user` that of a user on a whole mount.
struct QuotaSubject: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "A directory of a mount, by a path without links inside of it; with --user where it is mounted.",
            valueName: "directory"))
    var place: String

    @Option(help: "Of a user, by name or number: all that he owns in the mount.")
    var user: String?

    /// nil where it is a directory's.
    var number: UInt32? {
        get throws(Failure) { try Self.number(of: user) }
    }

    /// A user by name, or by number where nobody has that for a name; nil for nil.
    static func number(of user: String?) throws(Failure) -> UInt32? {
        guard let user else { return nil }
        if let number = Accounts.user(user) ?? UInt32(user), number != .max { return number }
        throw Failure(.usage, "--user: there is no user '\(user)' here: give a name or a number")
    }
}
