import Basics
import Glibc

/// Words of tmpfs's whose values are not ours.
enum TmpfsWord {
    /// How the word `name` writes a size: `size` as we do, `nr_blocks` in pages.
    static func size(_ name: String) -> (String) throws(QuantityError) -> SizeArgument {
        { (text) throws(QuantityError) in
            guard name == "nr_blocks" else { return try SizeArgument(parsing: text) }
            let (bytes, overflows) = try CountArgument.parse(text).multipliedReportingOverflow(
                by: Int(getpagesize()))
            guard !overflows else { throw QuantityError("'\(text)' pages are larger than can be counted") }
            return .bytes(ByteCount(bytes))
        }
    }
}

/// Users and groups by name, as this system knows them.
public enum Accounts {
    /// The name of a user; nil where the system knows none.
    public static func name(ofUser number: UInt32) -> String? {
        guard let entry = unsafe getpwuid(number) else { return nil }
        return unsafe String(cString: entry.pointee.pw_name)
    }

    /// The number of a user; nil where the system knows none of that name.
    public static func user(_ name: String) -> UInt32? {
        guard let entry = unsafe getpwnam(name) else { return nil }
        return unsafe entry.pointee.pw_uid
    }

    static func group(_ name: String) -> UInt32? {
        guard let entry = unsafe getgrnam(name) else { return nil }
        return unsafe entry.pointee.gr_gid
    }
}
