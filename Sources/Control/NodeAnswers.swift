import Basics
import CLinux
import Glibc

/// What answers `GET /v1/nodes`.
public protocol NodeLister: Sendable {
    /// Hands all nodes, in lines as `NodeLine` writes them, to `send`, a piece at a time, until it returns
    /// false. `send` may wait for who reads.
    func list(_ send: ([UInt8]) -> Bool)
}

extension Endpoint {
    static let nodesPath = "/v1/nodes"

    /// `/v1/nodes`: one line for each node.
    public static func nodes(_ lister: any NodeLister) -> Endpoint {
        Endpoint(streaming: nodesPath, "application/x-ndjson") { _, send in lister.list(send) }
    }
}

/// The answer to `GET /v1/nodes`, as it comes.
public final class NodeStream {
    public enum Progress: Hashable, Sendable {
        case goesOn
        case ended
        case refused(ControlRefusal)
    }

    /// How long the daemon may take for a piece, in seconds.
    private static let patienceSeconds: Int32 = 20

    /// Readable when there is more.
    public let descriptor: Int32
    private let mountpoint: String
    private var pending: [UInt8] = []
    private var hasBegun = false
    private var count = 0

    /// Asks the daemon behind `mount`, and does not wait for its answer.
    public init(of mount: MountEntry) throws(ControlError) {
        mountpoint = mount.mountpoint
        descriptor = try Client.connect(to: mount, patience: Self.patienceSeconds)
        do throws(Errno) {
            try Files.write(Wire.question(Endpoint.nodesPath), to: descriptor)
        } catch {
            throw silence(error)
        }
    }

    deinit { close(descriptor) }

    /// Waits for a piece and lends each node in it, with its name as `MountPath` encodes names.
    public func read(_ body: (NodeLine, ArraySlice<UInt8>) -> Void) throws(ControlError) -> Progress {
        let isOver = try !receive()
        if !hasBegun, let outcome = try begin(isOver: isOver) { return outcome }
        var start = 0
        while let end = pending[start...].firstIndex(of: UInt8(ascii: "\n")) {
            switch NodeLine.reading(pending[start..<end]) {
            case .node(let node, let name):
                body(node, name)
                count += 1
            case .end(let sent):
                guard sent == count else { throw ControlError("the daemon's answer lacks some nodes") }
                return .ended
            case nil: throw ControlError("cannot read the daemon's answer")
            }
            start = end + 1
        }
        pending.removeFirst(start)
        guard !isOver else { throw ControlError("the answer of the daemon of \(mountpoint) is cut short") }
        return .goesOn
    }

    /// Takes the head of the answer away; nil where nodes follow it.
    private func begin(isOver: Bool) throws(ControlError) -> Progress? {
        if let end = Wire.endOfHead(in: pending), pending.starts(with: "HTTP/1.1 200 ".utf8) {
            pending.removeFirst(end)
            hasBegun = true
            return nil
        }
        guard isOver || pending.count > Wire.answerLimitBytes else { return .goesOn }
        guard case .failure(let refusal) = try Wire.outcome(of: pending) else {
            throw ControlError("cannot read the daemon's answer")
        }
        return .refused(refusal)
    }

    private func receive() throws(ControlError) -> Bool {
        do throws(Errno) {
            let part = try Files.read(descriptor, upTo: 256 << 10)
            pending += part
            return !part.isEmpty
        } catch {
            throw silence(error)
        }
    }

    private func silence(_ error: Errno) -> ControlError {
        ControlError("the daemon of \(mountpoint) does not answer: \(error)")
    }
}
