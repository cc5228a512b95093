import Basics
import CLinux
import Glibc

/// Asks the daemon behind a mount. It never touches the mount itself, which may hang.
public enum Client {
    /// How long a daemon may take to answer.
    static let timeoutSeconds: Int32 = 5

    /// The figures of the daemon behind `mount`.
    public static func status(of mount: MountEntry) throws(ControlError) -> Status {
        let answer = try ask(Wire.question("/v1/status"), of: mount)
        return try JSON.decode(Status.self, from: try Wire.body(of: answer))
    }

    /// Asks the daemon behind `mount` to change its limits; a failure is its no.
    public static func setLimits(
        _ request: LimitsRequest, of mount: MountEntry
    ) throws(ControlError) -> Result<LimitsAnswer, ControlRefusal> {
        try change("/v1/limits", try JSON.encode(request), of: mount)
    }

    /// Asks the daemon behind `mount` to read its configuration anew; a failure is its no.
    public static func reload(_ mount: MountEntry) throws(ControlError) -> Result<
        LimitsAnswer, ControlRefusal
    > {
        try change("/v1/reload", [], of: mount)
    }

    private static func change(
        _ path: String, _ body: [UInt8], of mount: MountEntry
    ) throws(ControlError) -> Result<LimitsAnswer, ControlRefusal> {
        try decoded(LimitsAnswer.self, try ask(Wire.question(path, putting: body), of: mount))
    }

    /// What an answer says to what may be refused.
    static func decoded<Answer: Decodable>(
        _ type: Answer.Type, _ answer: [UInt8]
    ) throws(ControlError) -> Result<Answer, ControlRefusal> {
        switch try Wire.outcome(of: answer) {
        case .success(let body): return .success(try JSON.decode(type, from: body))
        case .failure(let refusal): return .failure(refusal)
        }
    }

    /// The process behind `mount`, as the kernel knows it; nil where nobody listens on its socket any more.
    public static func process(behind mount: MountEntry) -> Int32? {
        do throws(ControlError) {
            let connection = try connect(to: mount)
            defer { close(connection) }
            let peer = linux_socket_peer(connection)
            return peer.error == 0 && peer.process > 0 ? peer.process : nil
        } catch {
            return nil
        }
    }

    /// Sends a question and returns the whole answer.
    static func ask(
        _ question: [UInt8], of mount: MountEntry, patience seconds: Int32 = timeoutSeconds,
        upTo limit: Int = Wire.answerLimitBytes
    ) throws(ControlError) -> [UInt8] {
        let connection = try connect(to: mount, patience: seconds)
        defer { close(connection) }
        do throws(Errno) {
            try Files.write(question, to: connection)
            var answer: [UInt8] = []
            while answer.count < limit {
                let part = try Files.read(connection, upTo: 64 << 10)
                if part.isEmpty { break }
                answer += part
            }
            return answer
        } catch {
            throw ControlError("the daemon of \(mount.mountpoint) does not answer: \(error)")
        }
    }

    static func connect(
        to mount: MountEntry, patience seconds: Int32 = timeoutSeconds
    ) throws(ControlError) -> Int32 {
        var failure = Errno.noSuchFileOrDirectory
        for path in SocketPath.candidates(for: mount) {
            let connection = unsafe linux_socket_connect(path, seconds)
            if connection >= 0 { return connection }
            if failure == .noSuchFileOrDirectory { failure = Errno(rawValue: -connection) }
        }
        throw ControlError("the daemon of \(mount.mountpoint) cannot be reached: \(failure)")
    }
}
