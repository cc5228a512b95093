/// How the kernel is told of the file behind one of ours, in the answer to a request.
public protocol BackingRegistry {
    /// Registers an open file, which the kernel keeps open. Returns its number, above 0.
    func register(_ descriptor: Int32) throws(Errno) -> Int32
    /// Ends a registration. Files that are open with it go on using it.
    func unregister(_ backing: Int32)
}
