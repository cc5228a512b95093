import Basics
import CLinux
import Control
import Glibc
import Support
import Testing

/// A client of TCP on this machine.
private struct Caller {
    let socket: Int32

    init(_ port: UInt16) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        unsafe setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Sends what the other end takes.
    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            _ = unsafe linux_socket_send(socket, start, bytes.count)
        }
    }

    /// All that comes until the other end has no more.
    func answer() -> String {
        var answer: [UInt8] = []
        while let part = try? Files.read(socket, upTo: 64 << 10), !part.isEmpty { answer += part }
        return String(decoding: answer, as: UTF8.self)
    }

    func hangUp() { close(socket) }

    static func ask(_ request: String, _ port: UInt16) throws -> String {
        let caller = try Caller(port)
        defer { caller.hangUp() }
        caller.send(request)
        return caller.answer()
    }
}

private func get(_ path: String, host: String = "localhost") -> String {
    "GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\r\n"
}

@Suite("the server on the network")
struct NetworkTests {
    private static let largeBytes = 32 << 20

    private func withServer(page: Bool = false, _ body: (UInt16, String) throws -> Void) throws {
        let folder = Folder.make()
        defer { Folder.remove(folder) }
        let path = "\(folder)/1.sock"
        let address = try #require(NetworkListener.Address(":0"))
        let listener = try NetworkListener(at: address, showingPage: page)
        let server = try Server(
            at: path, and: listener,
            answering: [
                .status { ServerTests.status },
                .limits { (_) throws(ControlRefusal) in throw ControlRefusal(.refused, "reached") },
                Endpoint("GET", "/metrics", for: .anyone, reach: .network) { request in
                    Reply("text/plain", Array("\(request.peer.mayKnowNames) \(request.query)".utf8))
                },
                Endpoint("GET", "/large", for: .anyone, reach: .network) { _ in
                    Reply("text/plain", [UInt8](repeating: 65, count: Self.largeBytes))
                },
            ])
        defer { server.stop() }
        try body(listener.address.port, path)
    }

    @Test("an address is numeric, and this machine's own where it is left out")
    func addresses() {
        let good = [
            (":9200", "127.0.0.1:9200", true), ("localhost:1", "127.0.0.1:1", true),
            ("[::1]:80", "[::1]:80", true), ("0.0.0.0:80", "0.0.0.0:80", false),
            ("[::]:80", "[::]:80", false),
        ]
        for (text, full, isLoopback) in good {
            let address = NetworkListener.Address(text)
            #expect(address?.description == full && address?.isLoopback == isLoopback, "\(text)")
        }
        for text in ["", "9200", ":", ":x", ":65536", "::1:80", "host:80", "1.2.3:80", "[::1:80"] {
            #expect(NetworkListener.Address(text) == nil, "\(text)")
        }
    }

    @Test("only what changes nothing is answered, and the page's part only where it was asked for")
    func reach() throws {
        try withServer { port, _ in
            let answer = try Caller.ask(get("/metrics?a=%20b"), port)
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.hasSuffix(#"true ["a": " b"]"#), "\(answer)")
            for path in ["/v1/status", "/v1/limits", "/"] {
                #expect(try Caller.ask(get(path), port).hasPrefix("HTTP/1.1 404 "), "\(path)")
            }
            let change = "PUT /v1/limits HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
            #expect(try Caller.ask(change, port).hasPrefix("HTTP/1.1 404 "))
        }
        try withServer(page: true) { port, _ in
            let status = try Caller.ask(get("/v1/status"), port)
            #expect(status.contains("\"limit_bytes\" : 100"))
            // A page from elsewhere whose name leads here asks by that name.
            #expect(try Caller.ask(get("/v1/status", host: "x.example"), port).hasPrefix("HTTP/1.1 421 "))
            #expect(try Caller.ask(get("/v1/status", host: "127.0.0.1:80"), port).hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test("garbage, and heads and bodies without end, are answered as what they are")
    func garbage() throws {
        try withServer { port, _ in
            let bytes = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
            let caller = try Caller(port)
            caller.send(bytes + Array("\r\n\r\n".utf8))
            #expect(caller.answer().hasPrefix("HTTP/1.1 400 "))
            caller.hangUp()
            #expect(try Caller.ask(String(repeating: "x", count: 1 << 20), port).hasPrefix("HTTP/1.1 431 "))
            let body = String(repeating: "x", count: 8 << 20)
            let huge = "GET /metrics HTTP/1.1\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            #expect(try Caller.ask(huge, port).hasPrefix("HTTP/1.1 413 "))
            let liar = "GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"
            #expect(try Caller.ask(liar, port).hasPrefix("HTTP/1.1 413 "))
            // What comes behind a request is thrown away, and takes nothing of the answer along.
            let whole = try Caller.ask(get("/large") + String(repeating: "x", count: 64 << 10), port)
            #expect(whole.utf8.count > Self.largeBytes && whole.hasSuffix("AAAA"))
        }
    }

    @Test("a large answer arrives whole at who reads it, and keeps nobody waiting for who does not")
    func slowReader() throws {
        try withServer { port, path in
            let slow = try Caller(port)
            slow.send(get("/large"))
            #expect(try Caller.ask(get("/metrics"), port).hasPrefix("HTTP/1.1 200 "))
            let local = unsafe linux_socket_connect(path, 60)
            defer { close(local) }
            try Files.write(Array(get("/v1/status").utf8), to: local)
            #expect(try Files.read(local, upTo: 100).count > 0)
            let whole = try Caller.ask(get("/large"), port)
            #expect(whole.utf8.count > Self.largeBytes && whole.hasSuffix("AAAA"))
            slow.hangUp()
        }
    }

    @Test("a thousand that say nothing keep nobody from an answer, here or on the socket")
    func crowd() throws {
        try withServer { port, path in
            var silent: [Caller] = []
            defer { silent.forEach { $0.hangUp() } }
            for _ in 0..<1000 {
                silent.append(try Caller(port))
                // Some say half a word.
                if silent.count % 3 == 0 { silent[silent.count - 1].send("GET /met") }
            }
            #expect(try Caller.ask(get("/metrics"), port).hasPrefix("HTTP/1.1 200 "))
            let local = unsafe linux_socket_connect(path, 60)
            defer { close(local) }
            try Files.write(Array(get("/v1/status").utf8), to: local)
            #expect(try Files.read(local, upTo: 100).count > 0)
        }
    }
}

@Suite("a mount and the crowd at its server", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct CrowdTests {
    private let mount = Mounted(["--size", "64M", "--metrics-listen", ":0", "--page"])

    @Test("the mount goes on while its server is flooded, and the server answers after it")
    func flood() throws {
        try #require(mount.isReady)
        let port = try #require(mount.metricsPort)
        var callers: [Caller] = []
        defer { callers.forEach { $0.hangUp() } }
        let said = ["", "GET /", String(repeating: "\u{0}", count: 5000), get("/metrics"), get("/")]
        for number in 0..<1000 {
            callers.append(try Caller(port))
            callers[number].send(said[number % said.count])
            // Between them the mount is used: each of these is a request of the kernel that must be answered.
            try Kernel.mkdir(Path("\(mount.mountpoint)/d\(number)"))
        }
        #expect(try Files.names(in: mount.mountpoint).count == 1000)
        let page = try Caller.ask(get("/"), port)
        #expect(page.contains("Content-Security-Policy: default-src 'none'") && page.hasSuffix("</html>\n"))
        #expect(Program.run(["status", mount.mountpoint]).code == 0)
    }
}
