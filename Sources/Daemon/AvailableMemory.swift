public import Accounting
import Basics
import Control
import Glibc

/// What memory there is to be had: the least of the machine's and, for every cgroup from the daemon's own up
/// to the root, what its limit leaves beyond its use, where cache that can be given up is no use.
///
/// Files are opened once and read again from their start, and a look takes no memory, of which there may be
/// none. A daemon that is moved to another cgroup notices at its next look.
public final class AvailableMemory: Sendable {
    /// One cgroup with a memory controller, by the files that tell of it.
    private struct Group {
        let limits: [OpenFile]
        let usage: OpenFile
        let stat: OpenFile
    }

    private struct State {
        let meminfo: OpenFile
        let cgroup: OpenFile
        /// What `cgroup` said when `groups` were found.
        var place: [UInt8] = []
        var groups: [Group] = []
        var pressures: [OpenFile] = []
        /// What was read last. The longest of the files, memory.stat, has about 4 KiB.
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
    }

    private let root: String
    private let state: Lock<State>

    /// - Parameter root: stands before every path, for tests.
    public init(root: String = "") {
        self.root = root
        let meminfo = OpenFile("\(root)/proc/meminfo")
        state = Lock(State(meminfo: meminfo, cgroup: OpenFile("\(root)/proc/self/cgroup")))
    }

    /// Looks; nil where nothing can be read.
    public func reading() -> MemoryReading? {
        state.withLock { state in
            locate(&state)
            var least = Self.value(state.meminfo, &state, MemoryProbe.available)
            for group in state.groups {
                for file in group.limits {
                    guard let limit = Self.value(file, &state, MemoryProbe.limit) else { continue }
                    // A group without a usable figure for its use cannot be judged.
                    guard let usage = Self.value(group.usage, &state, MemoryProbe.bytes) else { continue }
                    let cache = Self.value(group.stat, &state, MemoryProbe.reclaimable) ?? 0
                    let left = limit - max(0, usage - cache)
                    least = min(least ?? left, left)
                }
            }
            guard let least else { return nil }
            var pressure: Int?
            for file in state.pressures {
                guard let percent = Self.value(file, &state, MemoryProbe.pressure) else { continue }
                pressure = max(pressure ?? 0, percent)
            }
            return MemoryReading(availableBytes: least, pressurePercent: pressure)
        }
    }

    private static func value<Value>(
        _ file: OpenFile, _ state: inout State, _ parse: (RawSpan) -> Value?
    ) -> Value? {
        let count = file.read(into: &state.buffer)
        guard count > 0 else { return nil }
        return state.buffer.withRawSpan { parse($0.extracting(first: count)) }
    }

    /// Finds the groups, where this process is in others than at the last look.
    private func locate(_ state: inout State) {
        let count = state.cgroup.read(into: &state.buffer)
        guard !state.place.elementsEqual(state.buffer.prefix(count)) else { return }
        let text = String(decoding: state.buffer.prefix(count), as: UTF8.self)
        let mounts: MountTable
        do throws(Errno) {
            mounts = MountTable(parsing: try Files.text(of: "\(root)/proc/self/mountinfo"))
        } catch {
            // The next look tries again.
            return
        }
        state.place = Array(state.buffer.prefix(count))
        state.groups = []
        state.pressures = [OpenFile("\(root)/proc/pressure/memory")]
        for hierarchy in MemoryGroups(mounts: mounts, cgroup: text, root: root).hierarchies {
            for folder in hierarchy.folders {
                let limits = hierarchy.limitNames.map { OpenFile("\(folder)/\($0)") }.filter(\.isOpen)
                guard !limits.isEmpty else { continue }
                let usage = OpenFile("\(folder)/\(hierarchy.usageName)")
                state.groups.append(
                    Group(limits: limits, usage: usage, stat: OpenFile("\(folder)/memory.stat")))
            }
            guard hierarchy.isUnified, let own = hierarchy.folders.first else { continue }
            state.pressures.append(OpenFile("\(own)/memory.pressure"))
        }
        state.pressures.removeAll { !$0.isOpen }
    }
}

/// A small file of the kernel's that is read again and again, made anew by each read from its start.
private final class OpenFile: Sendable {
    private let descriptor: Int32

    init(_ path: String) {
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    var isOpen: Bool { descriptor >= 0 }

    /// Fills `buffer` and returns how much was read; 0 where nothing can be.
    ///
    /// One call gets all that fits: a second one, to see the end, would have the kernel make it all again.
    func read(into buffer: inout [UInt8]) -> Int {
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes {
                unsafe pread(descriptor, $0.baseAddress, $0.count, 0)
            }
            if count >= 0 { return count }
            if errno != EINTR { return 0 }
        }
    }
}
