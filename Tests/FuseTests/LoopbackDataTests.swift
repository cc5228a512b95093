import Basics
import Fuse
import Glibc
import Support
import Testing

/// Data, attributes and listings through the loopback.
struct LoopbackDataTests {
    let operations = RecordingOperations()
    let loopback: Loopback

    init() throws {
        loopback = try Loopback.initialized(serving: operations)
    }

    @Test("a read gives back all segments in order", arguments: [0, 1, 2, 256, 1023, 1024, 1500])
    func reading(_ count: Int) {
        let parts = (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 1 + $0 % 3) }
        operations.answer { $0.segments = parts }
        let answer = loopback.read(2, at: 4096, count: 1 << 20)
        #expect(operations.lastCall == "read 2 4096 1048576")
        #expect(answer == Answer(error: 0, payload: Array(parts.joined())))
    }

    @Test("a read is bounded, and not before the start")
    func readLimits() {
        _ = loopback.read(2, at: 0, count: .max)
        #expect(operations.lastCall == "read 2 0 1048576")
        #expect(loopback.read(2, at: -1, count: 10).error == EINVAL)
    }

    @Test("a write hands over its bytes, and says when privileges must go")
    func writing() {
        #expect(loopback.write(Array("hello".utf8), to: 2, at: 12).count == 5)
        #expect(operations.lastCall == "write 2 12 hello 5 false")
        #expect(loopback.write(Array("hello".utf8), to: 2, at: 12, flags: 4).count == 5)
        #expect(operations.lastCall == "write 2 12 hello 5 true")
        #expect(loopback.write(Array("hello".utf8), to: 2, at: 12, flags: 3).count == 5)
        #expect(operations.lastCall == "write 2 12 hello 5 false", "the flag is of one request alone")
        #expect(loopback.write([UInt8](repeating: 65, count: 1 << 20), to: 2, at: 0).count == 1 << 20)
        #expect(loopback.write([1], to: 2, at: -1).error == EINVAL)
    }

    @Test("requests are counted by kind, and bytes that went through")
    func counting() throws {
        operations.answer { $0.segments = [[1, 2, 3], [4, 5]] }
        for _ in 0..<3 { _ = loopback.read(2, at: 0, count: 100) }
        _ = loopback.write(Array("hello".utf8), to: 2, at: 0)
        loopback.forget(7)
        operations.answer { $0.failure = .noSpace }
        // A refusal is a request, too, but moves no bytes.
        _ = loopback.write(Array("hello".utf8), to: 2, at: 0)
        _ = loopback.send(4000)
        let counts = ["read": 3, "write": 2, "forget": 1, "getattr": 0, "other": 2]
        for (kind, count) in counts {
            let figures = try #require(loopback.figures(of: kind))
            #expect(figures.requests.reduce(0, +) == count, "\(kind): \(figures.requests)")
            #expect(figures.requests.count == RequestFigures.bounds.count + 1)
            let least = zip(figures.requests, [0] + RequestFigures.bounds).reduce(0) { $0 + $1.0 * $1.1 }
            #expect(least <= figures.nanoseconds && (figures.nanoseconds > 0) == (count > 0))
        }
        #expect(loopback.transferredBytes == (15, 5))
    }

    @Test("what would have made something grow is told of with its refusal, and nothing else")
    func refusals() {
        operations.answer { $0.failure = .noSpace }
        _ = loopback.mkdir("d", in: 3)
        _ = loopback.mknod("f", mode: 0o010644)
        _ = loopback.symlink("s", to: "t")
        _ = loopback.create("c")
        _ = loopback.tmpfile(in: 3)
        _ = loopback.link(2, as: "l", in: 4)
        _ = loopback.rename("a", in: 3, to: "b", in: 4)
        _ = loopback.setattr(2, valid: 1 << 3, size: 9)
        _ = loopback.setxattr("user.a", of: 2, to: [])
        _ = loopback.removexattr("user.a", of: 2)
        _ = loopback.write([1], to: 2, at: 7)
        _ = loopback.write([1], to: 2, at: 7, flags: 1)
        _ = loopback.fallocate(2, offset: 0, count: 1)
        _ = loopback.copyFileRange(from: 2, at: 0, to: 3, at: 0, count: 1)
        let told = [
            "mkdir 3 d", "mknod 1 f", "symlink 1 s", "create 1 c", "O_TMPFILE 3 ", "link 4 l", "rename 4 b",
            "truncate 2 ", "setxattr 2 ", "removexattr 2 ", "write 2 ", "writeback 2 ", "fallocate 2 ",
            "copy_file_range 3 ",
        ]
        #expect(operations.refused == told.map { "\($0) \(ENOSPC) 4242" })
        for error in [Errno.diskQuotaExceeded, .tooManyOpenFiles, .notSupportedOnSocket] {
            operations.answer { $0.failure = error }
            _ = loopback.mkdir("d", in: 3)
            #expect(operations.refused.last == "mkdir 3 d \(error.rawValue) 4242")
        }
        let count = operations.refused.count
        operations.answer { $0.failure = .fileExists }
        _ = loopback.mkdir("d", in: 3)
        operations.answer { $0.failure = .noSpace }
        _ = loopback.lookup("a")
        _ = loopback.read(2, at: 0, count: 1)
        #expect(operations.refused.count == count)
    }

    @Test("a length that the frame does not hold is refused")
    func lyingLengths() {
        var body = [UInt8](repeating: 0, count: 16)
        body.put(UInt32(1000))
        body += [UInt8](repeating: 0, count: 20) + [1, 2, 3]
        #expect(loopback.ask(.write, node: 2, body).error == EIO)
        var setting: [UInt8] = []
        setting.put(UInt32(1000))
        setting.put(UInt32(0))
        #expect(loopback.ask(.setxattr, node: 2, setting + Array("user.a\0v".utf8)).error == EIO)
        #expect(operations.calls.isEmpty)
    }

    @Test("the mask of SETATTR says which fields change")
    func changedFields() {
        #expect(loopback.getattr(4).attributes.number == 101)
        _ = loopback.setattr(4, valid: 1, mode: 0o104711)
        var wanted = AttributeChanges()
        wanted.mode = 0o4711
        #expect(operations.changes == wanted)

        let answer = loopback.setattr(
            4, valid: 0x3f, mode: 0o600, user: 5, group: 6, size: 1 << 40,
            accessed: Timestamp(seconds: -7, nanoseconds: 8), modified: Timestamp(seconds: 9, nanoseconds: 10)
        )
        wanted.mode = 0o600
        wanted.owner = 5
        wanted.group = 6
        wanted.size = 1 << 40
        wanted.accessed = .at(Timestamp(seconds: -7, nanoseconds: 8))
        wanted.modified = .at(Timestamp(seconds: 9, nanoseconds: 10))
        #expect(operations.changes == wanted)
        #expect(answer.payload.count == 104)
        #expect(answer.payload.get(UInt64.self, at: 0) == 86400, "the timeout")
        #expect(answer.attributes.size == 5_000_000_000)

        _ = loopback.setattr(4, valid: 0x30 | 0x180)
        wanted = AttributeChanges()
        wanted.accessed = .now
        wanted.modified = .now
        #expect(operations.changes == wanted)
    }

    @Test("an empty mask, or the bit for it, drops privileges")
    func droppedPrivileges() {
        var wanted = AttributeChanges()
        wanted.dropsPrivileges = true
        _ = loopback.setattr(4, valid: 0)
        #expect(operations.changes == wanted)
        _ = loopback.setattr(4, valid: 1 << 6)
        #expect(operations.changes == wanted, "a file handle is no change")
        _ = loopback.setattr(4, valid: 1 << 11 | 1 << 3)
        wanted.size = 0
        #expect(operations.changes == wanted)
    }

    @Test("values that no file can have are refused")
    func impossibleAttributes() {
        #expect(loopback.setattr(4, valid: 1 << 3, size: 1 << 63).error == EINVAL)
        let moment = Timestamp(seconds: 0, nanoseconds: 1_000_000_000)
        #expect(loopback.setattr(4, valid: 1 << 4, accessed: moment).error == EINVAL)
        #expect(operations.calls.isEmpty)
    }

    @Test("fallocate, lseek and copy_file_range")
    func rangesOfFiles() {
        #expect(loopback.fallocate(2, mode: 3, offset: 5, count: 6).error == 0)
        #expect(operations.lastCall == "allocate 2 3 5 6")
        #expect(loopback.fallocate(2, mode: 8, offset: 5, count: 6).error == EOPNOTSUPP)
        #expect(loopback.fallocate(2, offset: -1, count: 6).error == EINVAL)
        #expect(loopback.fallocate(2, offset: 1, count: 0).error == EINVAL)

        operations.answer { $0.number = 1 << 33 }
        #expect(loopback.lseek(2, from: 7, whence: 4).offset == 1 << 33)
        #expect(operations.lastCall == "seek 2 7 hole")
        _ = loopback.lseek(2, from: 7, whence: 3)
        #expect(operations.lastCall == "seek 2 7 data")
        #expect(loopback.lseek(2, from: 7, whence: 0).error == EINVAL)
        #expect(loopback.lseek(2, from: -7, whence: 3).error == ENXIO)

        #expect(loopback.copyFileRange(from: 2, at: 3, to: 4, at: 5, count: 6).count == 6)
        #expect(operations.lastCall == "copyRange 2 3 4 5 6")
        #expect(loopback.copyFileRange(from: 2, at: 3, to: 4, at: 5, count: .max).count == 1 << 30)
        #expect(loopback.copyFileRange(from: 2, at: 3, to: 4, at: 5, count: 6, flags: 1).error == EINVAL)
        #expect(loopback.copyFileRange(from: 2, at: 3, to: 4, at: -5, count: 6).error == EINVAL)
    }

    @Test("a symlink's target goes back without a NUL")
    func readingLinks() {
        operations.answer { $0.bytes = Array("some/where".utf8) }
        #expect(loopback.readlink(3) == Answer(error: 0, payload: Array("some/where".utf8)))
    }

    @Test("extended attributes: the size, the value, and too little room")
    func extendedAttributes() {
        operations.answer { $0.bytes = Array("value".utf8) }
        #expect(loopback.getxattr("user.a", of: 3, count: 0).count == 5)
        #expect(operations.lastCall == "extendedAttribute 3 user.a 1000:1000:4242")
        #expect(
            loopback.getxattr("user.a", of: 3, count: 5) == Answer(error: 0, payload: Array("value".utf8)))
        #expect(loopback.getxattr("user.a", of: 3, count: 4).error == ERANGE)
        #expect(loopback.listxattr(3, count: 0).count == 5)
        #expect(loopback.listxattr(3, count: 9).payload == Array("value".utf8))
        #expect(loopback.listxattr(3, count: 4).error == ERANGE)
        #expect(loopback.setxattr("user.a-name", of: 3, to: Array("v".utf8), flags: 1).error == 0)
        #expect(operations.lastCall == "setExtendedAttribute 3 user.a-name v 1 1000:1000:4242")
        #expect(loopback.setxattr("a", of: 3, to: []).error == 0)
        #expect(operations.lastCall == "setExtendedAttribute 3 a  0 1000:1000:4242")
        #expect(loopback.removexattr("user.a", of: 3).error == 0)
        #expect(operations.lastCall == "removeExtendedAttribute 3 user.a 1000:1000:4242")
    }

    @Test("SETXATTR in the long form has its name in its place, and says when setgid must go")
    func longSetting() throws {
        let loopback = try Loopback.initialized(serving: operations, usesACL: true)
        #expect(loopback.longSetxattr("user.a", of: 3, to: Array("v".utf8), extra: 0).error == 0)
        #expect(operations.lastCall == "setExtendedAttribute 3 user.a v 0 1000:1000:4242")
        #expect(loopback.longSetxattr("user.a", of: 3, to: Array("v".utf8), extra: 1).error == 0)
        #expect(operations.lastCall == "setExtendedAttribute 3 user.a v 65536 1000:1000:4242")
    }

    @Test("statfs has every figure in its place")
    func statistics() {
        let payload = loopback.statfs(1).payload
        let figures = [0, 8, 16, 24, 32].map { payload.get(UInt64.self, at: $0) }
        #expect(figures == [11, 12, 12, 13, 14])
        #expect(payload.get(UInt32.self, at: 40) == 4096)
        #expect(payload.get(UInt32.self, at: 44) == 255)
        #expect(payload.get(UInt32.self, at: 48) == 4096)
    }

    private func fillDirectory(_ count: Int) {
        func entry(_ index: UInt32, _ mode: UInt32) -> Entry {
            var attributes = RecordingOperations.attributes
            attributes.number = UInt64(1000 + index)
            attributes.mode = mode
            return Entry(node: NodeID(index: index, number: UInt64(index) + 1), attributes: attributes)
        }
        let entries = (0..<count).map { ("file\($0)", entry(UInt32(10 + $0), 0o100600)) }
        let listing = [(".", entry(1, 0o40755)), ("..", entry(2, 0o40755))] + entries
        operations.answer { $0.listing = listing }
    }

    @Test("READDIR has numbers, types and cookies, and hands out no reference")
    func plainListing() {
        fillDirectory(3)
        let answer = loopback.readdir(1)
        #expect(operations.lastCall == "list 1 0 false")
        let entries = WireDirectoryEntry.list(answer.payload, plus: false)
        #expect(
            entries.map { String(decoding: $0.name, as: UTF8.self) } == [
                ".", "..", "file0", "file1", "file2",
            ])
        #expect(entries.map(\.number) == [1001, 1002, 1010, 1011, 1012])
        #expect(entries.map(\.type) == [4, 4, 8, 8, 8])
        #expect(entries.map(\.cookie) == [1, 2, 3, 4, 5])
        #expect(operations.references.isEmpty)
        #expect(
            WireDirectoryEntry.list(loopback.readdir(1, after: 4).payload, plus: false).map(\.number) == [
                1012
            ])
        #expect(loopback.readdir(1, after: 5) == Answer(error: 0, payload: []))
    }

    @Test("READDIRPLUS hands out a reference for each entry that fits, none for dots")
    func countedListing() {
        fillDirectory(100)
        var cookie: UInt64 = 0
        var names = 0
        while true {
            let answer = loopback.readdir(1, after: cookie, count: 1000, plus: true)
            #expect(answer.error == 0 && answer.payload.count <= 1000)
            let entries = WireDirectoryEntry.list(answer.payload, plus: true)
            guard let last = entries.last else { break }
            for entry in entries {
                let isDots = entry.name.allSatisfy { $0 == UInt8(ascii: ".") }
                let node = entry.entry?.node ?? 0
                #expect(isDots ? node == 0 : operations.references[node] == 1)
                #expect(entry.entry?.attributes.number == entry.number)
                if !isDots { names += 1 }
            }
            cookie = last.cookie
        }
        #expect(names == 100)
        #expect(operations.references.values.reduce(0, +) == 100, "the refused ones are not counted")
    }

    @Test("room for not even one entry is an error, not the end")
    func noRoom() {
        fillDirectory(1)
        #expect(loopback.readdir(1, count: 16).error == EINVAL)
        #expect(loopback.readdir(1, count: 0, plus: true).error == EINVAL)
        #expect(operations.references.isEmpty)
    }
}
