import Basics
import CFuseShim
import Glibc

/// The obligation to answer one request. Answering consumes it, so a second answer does not compile.
///
/// `Shape` names what the kernel expects, and with it the answers that exist; failing is common to all. A
/// successful answer that hands out nodes returns whether the kernel took it: if not, it does not hold them.
@safe struct Reply<Shape>: ~Copyable {
    private let request: fuse_req_t

    @unsafe init(to request: fuse_req_t) {
        unsafe self.request = unsafe request
    }

    /// - Parameter attempt: what would have made something grow; nil for what cannot.
    consuming func fail(_ error: Errno, _ attempt: @autoclosure () -> Attempt? = nil) {
        if mayBeRefusal(error), let attempt = attempt() {
            let caller = unsafe Caller(of: request)
            unsafe lendOperations(of: shim_context_of(request)) { $0.refused(error, attempt, by: caller) }
        }
        _ = unsafe fuse_reply_err(take(), error.rawValue)
    }

    /// Hands the obligation to the caller.
    @unsafe fileprivate consuming func take() -> fuse_req_t {
        let taken = unsafe request
        discard self
        return unsafe taken
    }

    deinit {
        assertionFailure("a request was dropped without an answer")
        _ = unsafe fuse_reply_err(request, EIO)  // Better a wrong error than a caller that hangs for ever.
    }
}

/// Whether `error` is one that the limits give.
private func mayBeRefusal(_ error: Errno) -> Bool {
    error == .noSpace || error == .diskQuotaExceeded || error == .tooManyOpenFiles
        || error == .notSupportedOnSocket
}

/// Success, and nothing more to say.
enum StatusShape {}
typealias StatusReply = Reply<StatusShape>

extension Reply where Shape == StatusShape {
    consuming func done() {
        _ = unsafe fuse_reply_err(take(), 0)
    }
}

/// A node.
enum EntryShape {}
typealias EntryReply = Reply<EntryShape>

extension Reply where Shape == EntryShape {
    consuming func found(_ entry: Entry) -> Bool {
        var answer = fuse_entry_param(entry)
        return unsafe fuse_reply_entry(take(), &answer) == 0
    }

    /// The name does not exist, and the kernel need not ask again until it makes it itself.
    consuming func missing() {
        var answer = fuse_entry_param()
        answer.entry_timeout = cacheSeconds
        _ = unsafe fuse_reply_entry(take(), &answer)
    }
}

/// A node that is also opened.
enum CreateShape {}
typealias CreateReply = Reply<CreateShape>

extension Reply where Shape == CreateShape {
    consuming func created(_ entry: Entry, _ opening: Opening) -> Bool {
        var answer = fuse_entry_param(entry)
        return unsafe shim_reply_create(take(), &answer, shim_opening(opening)) == 0
    }
}

/// An open file.
enum OpenShape {}
typealias OpenReply = Reply<OpenShape>

extension Reply where Shape == OpenShape {
    consuming func opened(_ opening: Opening) -> Bool {
        unsafe shim_reply_open(take(), shim_opening(opening)) == 0
    }
}

/// What stat(2) reports.
enum AttributesShape {}
typealias AttributesReply = Reply<AttributesShape>

extension Reply where Shape == AttributesShape {
    consuming func are(_ attributes: Attributes) {
        var answer = stat(attributes)
        _ = unsafe fuse_reply_attr(take(), &answer, attributes.cacheSeconds)
    }
}

/// Bytes.
enum DataShape {}
typealias DataReply = Reply<DataShape>

/// How many vectors one reply may have besides libfuse's header: IOV_MAX less 1.
private let mostVectors = 1023

extension Reply where Shape == DataShape {
    /// One copy, from our memory into the caller's.
    consuming func holds(_ segments: borrowing Segments) {
        let request = unsafe take()
        let direct = unsafe segments.withVectors { vectors in
            guard vectors.count <= mostVectors else { return false }
            if vectors.count > 1 {
                _ = unsafe fuse_reply_iov(request, vectors.baseAddress, Int32(vectors.count))
            } else {
                let only = unsafe vectors.first ?? iovec()
                _ = unsafe fuse_reply_buf(request, only.iov_base, only.iov_len)
            }
            return true
        }
        if !direct {
            let bytes = segments.copied()
            _ = unsafe bytes.withUnsafeBytes { unsafe fuse_reply_buf(request, $0.baseAddress, $0.count) }
        }
    }

    consuming func holds(_ bytes: RawSpan) {
        let request = unsafe take()
        _ = unsafe bytes.withUnsafeBytes { unsafe fuse_reply_buf(request, $0.baseAddress, $0.count) }
    }
}

/// A number of bytes that were written or copied.
enum CountShape {}
typealias CountReply = Reply<CountShape>

extension Reply where Shape == CountShape {
    consuming func wrote(_ count: Int) {
        _ = unsafe fuse_reply_write(take(), count)
    }
}

/// A position in a file.
enum OffsetShape {}
typealias OffsetReply = Reply<OffsetShape>

extension Reply where Shape == OffsetShape {
    consuming func at(_ offset: Int64) {
        _ = unsafe fuse_reply_lseek(take(), Int(offset))
    }
}

/// The value of an extended attribute, or the list of their names, or the size of either.
enum ExtendedAttributeShape {}
typealias ExtendedAttributeReply = Reply<ExtendedAttributeShape>

extension Reply where Shape == ExtendedAttributeShape {
    /// With `capacity` 0 the caller wants to know the size; a value that does not fit is refused.
    consuming func holds(_ value: RawSpan, within capacity: Int) {
        let request = unsafe take()
        if capacity == 0 {
            _ = unsafe fuse_reply_xattr(request, value.byteCount)
        } else if value.byteCount > capacity {
            _ = unsafe fuse_reply_err(request, ERANGE)
        } else {
            _ = unsafe value.withUnsafeBytes { unsafe fuse_reply_buf(request, $0.baseAddress, $0.count) }
        }
    }
}

/// What statfs(2) reports.
enum StatisticsShape {}
typealias StatisticsReply = Reply<StatisticsShape>

extension Reply where Shape == StatisticsShape {
    consuming func are(_ statistics: FilesystemStatistics) {
        var answer = statvfs()
        answer.f_bsize = .init(truncatingIfNeeded: statistics.blockBytes)
        answer.f_frsize = answer.f_bsize
        answer.f_blocks = .init(truncatingIfNeeded: statistics.blocks)
        answer.f_bfree = .init(truncatingIfNeeded: statistics.freeBlocks)
        answer.f_bavail = .init(truncatingIfNeeded: statistics.availableBlocks)
        answer.f_files = .init(truncatingIfNeeded: statistics.nodes)
        answer.f_ffree = .init(truncatingIfNeeded: statistics.freeNodes)
        answer.f_favail = answer.f_ffree
        answer.f_namemax = 255
        _ = unsafe fuse_reply_statfs(take(), &answer)
    }
}

/// A part of a directory.
enum ListingShape {}
typealias ListingReply = Reply<ListingShape>

extension Reply where Shape == ListingShape {
    consuming func lists(_ buffer: borrowing DirectoryBuffer) -> Bool {
        let request = unsafe take()
        return unsafe buffer.withBytes { unsafe fuse_reply_buf(request, $0.baseAddress, $0.count) == 0 }
    }
}
