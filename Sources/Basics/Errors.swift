// `Errno` comes from here: a file that imports `Basics` needs no second import for it.
@_exported public import SystemPackage

extension Errno {
    /// Throws what a call returned that gives 0 or an errno.
    public static func check(_ result: Int32) throws(Errno) {
        guard result == 0 else { throw Errno(rawValue: result) }
    }
}
