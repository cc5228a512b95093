import Basics
import Fuse
import Support
import Testing

/// Well-formed frames whose every field may be anything.
struct HostileRequestTests {
    /// A small generator: the seed gives the whole sequence.
    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }

        /// Bytes of fields: often small numbers, often extremes, often noise.
        mutating func fields(_ count: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                switch UInt64.random(in: 0..<4, using: &self) {
                case 0: bytes.put(UInt32.random(in: 0..<8, using: &self))
                case 1: bytes.put(UInt32.max)
                case 2: bytes.put(UInt32(1) << UInt32.random(in: 0..<32, using: &self))
                default: bytes.put(UInt32(truncatingIfNeeded: next()))
                }
            }
            return Array(bytes.prefix(count))
        }

        mutating func name() -> [UInt8] {
            let count = [0, 1, 2, 3, 10, 254, 255, 256, 1000].randomElement(using: &self) ?? 1
            let alphabet: [UInt8] = Bool.random(using: &self) ? [46, 47] : Array(1...255)
            return (0..<count).map { _ in alphabet.randomElement(using: &self) ?? 97 } + [0]
        }
    }

    /// How many bytes of fields a request has before its names, and how many names.
    private static let shapes: [Opcode: (fields: Int, names: Int)] = [
        .lookup: (0, 1), .forget: (8, 0), .getattr: (16, 0), .setattr: (88, 0), .readlink: (0, 0),
        .symlink: (0, 2), .mknod: (16, 1), .mkdir: (8, 1), .unlink: (0, 1), .rmdir: (0, 1), .rename: (8, 2),
        .link: (8, 1), .open: (8, 0), .read: (40, 0), .write: (40, 1), .statfs: (0, 0), .release: (24, 0),
        .fsync: (16, 0), .setxattr: (8, 2), .getxattr: (8, 1), .listxattr: (8, 0), .removexattr: (0, 1),
        .flush: (24, 0), .initialize: (64, 0), .opendir: (8, 0), .readdir: (40, 0), .releasedir: (24, 0),
        .fsyncdir: (16, 0), .getlk: (48, 0), .setlk: (48, 0), .access: (8, 0), .create: (16, 1),
        .interrupt: (8, 0), .bmap: (16, 0), .ioctl: (32, 1), .poll: (24, 0), .batchForget: (40, 0),
        .fallocate: (32, 0), .readdirplus: (40, 0), .rename2: (16, 2), .lseek: (24, 0),
        .copyFileRange: (56, 0), .tmpfile: (16, 1),
    ]

    @Test("no field of a well-formed request breaks anything")
    func hostileFields() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("HostileRequestTests seed \(seed)")
        var dice = Dice(state: seed)
        let operations = RecordingOperations()
        operations.answer { state in
            state.segments = [[1, 2], [3]]
            state.bytes = [4, 5]
            state.listing = [(".", state.entry), ("name", state.entry)]
        }
        let loopback = try Loopback.initialized(serving: operations)
        for _ in 0..<20_000 {
            let opcode = Opcode.allCases.randomElement(using: &dice) ?? .lookup
            let shape = try #require(Self.shapes[opcode])
            var body = dice.fields(shape.fields)
            for _ in 0..<shape.names { body += dice.name() }
            let answer = loopback.send(opcode.rawValue, node: dice.next(), body)
            if let answer { #expect(answer.error >= 0 && answer.error < 1000) }
        }
        // Opcodes that nobody has.
        for opcode in [0, 7, 19, 33, 48, 49, 50, 52, 60, 4095, 1 << 20, UInt32.max] as [UInt32] {
            #expect(loopback.send(opcode, dice.fields(64))?.error == 38)
        }
    }

    @Test("nothing but INIT is answered before INIT")
    func beforeInit() throws {
        let loopback = try Loopback(serving: RecordingOperations())
        #expect(loopback.lookup("a").error == 5)
        #expect(loopback.initialize().error == 0)
        #expect(loopback.initialize().error == 5)
        #expect(loopback.lookup("a").error == 0)
    }
}
