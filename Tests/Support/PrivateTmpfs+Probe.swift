import Basics
public import Storage

extension PrivateTmpfs {
    /// Whether a private tmpfs can be made here; says so, once, where it cannot.
    public static let canBeHad: Bool = {
        do throws(Errno) {
            _ = try PrivateTmpfs(bytes: 1 << 20)
            return true
        } catch {
            print("SKIPPED: every test on a private tmpfs: \(error)")
            return false
        }
    }()
}
