import Basics
import CLinux
import Control
import Glibc
import Testing

@Suite("the mount table")
struct MountTableTests {
    private let table = MountTable(
        parsing: """
            22 27 0:21 / /proc rw,relatime - proc proc rw
            42 27 0:39 / /tmp/a\\040b\\011c\\134d rw,nosuid shared:5 - fuse.dmemfs my\\040name rw,user_id=7
            43 27 0:40 / /m rw - fuse.dmemfs dmemfs rw,user_id=0,group_id=0,allow_other
            44 43 0:41 / /m rw - tmpfs tmpfs rw
            45 27 8:1 /sub /n rw propagate_from:2 - ext4 /dev/sda1 rw
            a broken line
            46 27 0:45 / /short -
            """)

    @Test("octal escapes, optional fields and broken lines")
    func parsing() {
        #expect(table.entries.count == 5)
        let ours = table.ours
        #expect(ours.map(\.mountpoint) == ["/tmp/a b\tc\\d", "/m"])
        #expect(ours.first?.source == "my name" && ours.first?.user == 7 && ours.first?.deviceMinor == 39)
        #expect(table.top(at: "/n")?.root == "/sub" && table.top(at: "/n")?.user == nil)
    }

    @Test("the uppermost mount is the one that no other lies over, in any order")
    func top() {
        #expect(table.top(at: "/m")?.type == "tmpfs")
        #expect(table.top(at: "/nowhere") == nil)
        let upper = "44 43 0:41 / /m rw - tmpfs t rw"
        let swapped = MountTable(parsing: "\(upper)\n43 27 0:40 / /m rw - fuse.dmemfs d rw")
        #expect(swapped.top(at: "/m")?.type == "tmpfs")
    }
}

@Suite("the control socket")
struct ServerTests {
    static let status = Status(
        mountpoint: "/m", version: "1", pid: 1, engine: "memory", storage: "auto", transport: "device",
        limitBytes: 100, usedBytes: 40, dataBytes: 30, metadataBytes: 10, peakBytes: 50, reservedBytes: 0,
        openUnlinkedBytes: 0, maxNodes: nil, nodes: 3, peakNodes: 4, residentBytes: 9, uptimeSeconds: 2,
        refusals: Status.Refusals(
            bytes: 1, nodes: 2, directory: 3, user: 4, memoryGuard: 5, storage: 6, writeback: 7),
        memoryGuard: Status.Guard(mode: "none", action: "warn", availableBytes: nil, tripped: false))

    /// Sends `request` and returns all that comes back.
    private func ask(_ request: String, at path: String) throws -> String {
        let connection = unsafe linux_socket_connect(path, 5)
        try #require(connection >= 0)
        defer { close(connection) }
        try Files.write(Array(request.utf8), to: connection)
        var answer: [UInt8] = []
        while let part = try? Files.read(connection, upTo: 4096), !part.isEmpty { answer += part }
        return String(decoding: answer, as: UTF8.self)
    }

    private func withServer(_ body: (String) throws -> Void) throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let path = "\(folder)/1.sock"
        let server = try Server(at: path, answering: [.status { Self.status }])
        defer { server.stop() }
        try body(path)
    }

    @Test("answers what it is asked, and says so where it cannot")
    func answers() throws {
        try withServer { path in
            let answer = try ask("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", at: path)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.contains("\"limit_bytes\" : 100"))
            #expect(answer.contains("\"max_nodes\" : null") && answer.contains("\"guard\" : 5"))
            let questions = [
                ("GET /v1/status HTTP/1.0\n\n", "200"), ("GET /else HTTP/1.1\r\n\r\n", "404"),
                ("PUT /v1/status HTTP/1.1\r\n\r\n", "405"), ("nonsense\r\n\r\n", "400"),
                (String(repeating: "x", count: 8 << 10), "431"),
            ]
            for (question, code) in questions {
                let answer = try ask(question, at: path)
                #expect(answer.hasPrefix("HTTP/1.1 \(code) "), "to \(question.prefix(40))")
            }
        }
    }

    @Test("a client that says nothing keeps nobody from asking, and is sent away in time")
    func silentClient() throws {
        try withServer { path in
            let silent = unsafe linux_socket_connect(path, 10)
            defer { close(silent) }
            let answer = try ask("GET /v1/status HTTP/1.1\r\n\r\n", at: path)
            #expect(answer.contains("200 OK"))
            let rest = try Files.read(silent, upTo: 10)
            #expect(rest.isEmpty)
        }
    }

    @Test("a socket that nobody listens on is replaced, and a live one is not")
    func stale() throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let path = "\(folder)/sub/1.sock"
        try Files.makeFolder("\(folder)/sub", mode: 0o755)
        let dead = unsafe linux_socket_listen(path, 1)
        close(dead)
        let server = try Server(at: path, answering: [.status { Self.status }])
        #expect(throws: Errno.addressInUse) { try Server(at: path, answering: [.status { Self.status }]) }
        server.stop()
        #expect(throws: Errno.noSuchFileOrDirectory) { try Files.status(of: path) }
    }

    @Test("what is encoded reads the same again")
    func roundTrip() throws {
        let bytes = try JSON.encode(Self.status)
        #expect(try JSON.decode(Status.self, from: bytes) == Self.status)
    }
}
