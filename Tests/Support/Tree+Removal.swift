package import Basics
package import Tree

extension Tree {
    /// Removes a name, whether or not it is a directory's; a directory must be empty.
    package func remove(_ name: [UInt8], from folder: NodeID) throws(Errno) {
        try name.withRawSpan { (name) throws(Errno) in
            do throws(Errno) {
                try unlink(name, in: folder)
            } catch {
                guard error == .isDirectory else { throw error }
                try removeDirectory(name, in: folder)
            }
        }
    }
}
