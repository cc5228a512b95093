import Basics
import CLinux
import Glibc

/// A freeze that lasts no longer than this process keeps it, as the one who asked for it knows it.
public final class HeldFreeze {
    /// Both what is begun when it is asked, and what waits, take their time.
    fileprivate static let patienceSeconds: Int32 = 20

    private let connection: Int32
    private let mountpoint: String
    private var received: [UInt8] = []

    fileprivate init(on connection: Int32, of mountpoint: String) {
        self.connection = connection
        self.mountpoint = mountpoint
    }

    deinit { close(connection) }

    /// Hands the device of a view that this process has mounted to the daemon, and waits until it is served.
    public func show(on device: Int32) throws(ControlError) {
        let failure = linux_socket_send_descriptor(connection, device)
        guard failure == 0 else { throw trouble("\(Errno(rawValue: failure))") }
        let line = try nextLine()
        guard line?.view == true else { throw trouble(line?.thawed?.reason ?? "the connection ended") }
    }

    /// Waits until it is thawed by others. nil where the daemon is gone.
    public func awaitEnd() throws(ControlError) -> FreezeEnd? {
        while received.isEmpty, linux_await_either(connection, -1, -1) == 0 {}
        return try nextLine()?.thawed
    }

    /// Lets it go, and waits until what had to wait was served. Tells the cause where it had ended already;
    /// nil where the daemon is gone.
    public func end() throws(ControlError) -> FreezeEnd? {
        shutdown(connection, Int32(SHUT_WR))
        return try nextLine()?.thawed
    }

    /// nil at the end.
    fileprivate func nextLine() throws(ControlError) -> FreezeLine? {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(received[...end])
                received.removeFirst(line.count)
                return try JSON.decode(FreezeLine.self, from: line)
            }
            guard try receive() else { return nil }
        }
    }

    private func receive() throws(ControlError) -> Bool {
        do throws(Errno) {
            let part = try Files.read(connection, upTo: 4096)
            received += part
            return !part.isEmpty
        } catch {
            if error == .connectionReset { return false }
            throw trouble("\(error)")
        }
    }

    /// Asks, and takes what comes up to the first line; all of it where that is a no.
    fileprivate func ask(_ request: FreezeRequest) throws(ControlError) -> Result<
        FreezeStatus, ControlRefusal
    > {
        let question = Wire.question(
            Endpoint.freezePath, method: "POST", putting: try JSON.encode(request))
        do throws(Errno) {
            try Files.write(question, to: connection)
        } catch {
            throw trouble("\(error)")
        }
        while Wire.endOfHead(in: received) == nil, try receive() {}
        guard let end = Wire.endOfHead(in: received), Wire.status(of: received) == "200" else {
            while try receive() {}
            return try Client.decoded(FreezeStatus.self, received)
        }
        received.removeFirst(end)
        guard let status = try nextLine()?.frozen else { throw trouble("the answer is cut short") }
        return .success(status)
    }

    private func trouble(_ reason: String) -> ControlError {
        ControlError("the daemon of \(mountpoint) does not answer: \(reason)")
    }
}

extension Client {
    /// Asks the daemon behind `mount` to freeze it; a failure is its no. The freeze ends with what is
    /// returned where `request` says so.
    public static func freeze(
        _ request: FreezeRequest, _ mount: MountEntry
    ) throws(ControlError) -> Result<(FreezeStatus, HeldFreeze), ControlRefusal> {
        let connection = try connect(to: mount, patience: HeldFreeze.patienceSeconds)
        let held = HeldFreeze(on: connection, of: mount.mountpoint)
        return try held.ask(request).map { ($0, held) }
    }

    /// Asks the daemon behind `mount` to thaw it; a failure is its no.
    public static func thaw(_ mount: MountEntry) throws(ControlError) -> Result<FreezeEnd, ControlRefusal> {
        let question = Wire.question(Endpoint.thawPath, method: "POST", putting: [])
        return try decoded(
            FreezeEnd.self, try ask(question, of: mount, patience: HeldFreeze.patienceSeconds))
    }
}
