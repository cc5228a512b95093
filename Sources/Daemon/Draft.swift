import Accounting
import Basics
import Control
import Serving
import Storage

/// A configuration in the making: takes one setting after the other and collects what is wrong with them.
struct Draft {
    private(set) var faults: [Failure] = []
    private(set) var acceptsNonEmpty = false
    private(set) var maxNodes: Int?
    private(set) var nodeLimitErrno = Errno.tooManyOpenFiles
    private(set) var storage = StoragePolicy()
    private(set) var engine = Engine.memory
    private(set) var hugePages = EngineTmpfs.HugePages.auto
    private(set) var mode: UInt32
    private(set) var owner: UInt32
    private(set) var group: UInt32
    private(set) var name = "dmemfs"
    private(set) var allowsOthers: Bool
    private(set) var usesACL = false
    private(set) var usesIOUring = false
    private(set) var stopTimeoutMilliseconds = 20_000
    private(set) var memoryGuard = MemoryGuard.Policy()
    private(set) var thresholds = ThresholdPolicy()
    /// What is taken, but not as it was asked for.
    private(set) var warnings: [String] = []
    private(set) var followsSymlinks = true
    private(set) var locksMemory = false
    private(set) var metricsAddress: NetworkListener.Address?
    private(set) var showsPage = false
    private(set) var size = SizeArgument.percent(thousandths: 25_000)
    private var flags = Set(["nosuid", "nodev"])
    private let isRoot: Bool
    private let ignoresUnknown: Bool
    /// Who set what, to notice that a flag and a list contradict each other.
    private var values: [String: Setting] = [:]

    init(asUser user: UInt32, group: UInt32, ignoringUnknown: Bool) {
        isRoot = user == 0
        ignoresUnknown = ignoringUnknown
        mode = isRoot ? 0o1777 : 0o700
        owner = user
        self.group = group
        allowsOthers = isRoot
    }

    mutating func fault(_ message: String, status: ExitStatus = .usage) {
        faults.append(Failure(status, message))
    }

    var kernelOptions: [String] { flags.sorted() }

    /// The limit in bytes: whole pages where it is a share of the memory.
    mutating func resolvedBytes(_ memory: () throws(Errno) -> Int) -> Int {
        do throws(Failure) {
            return try size.resolved(memory)
        } catch {
            fault("--size: \(error)", status: error.status)
            return 0
        }
    }

    mutating func apply(_ setting: Setting) {
        let name = OptionList.canonical(setting.name)
        if let before = values[name], before.spelling != setting.spelling, before.value != setting.value {
            fault("\(before.spelling) and \(setting.spelling) contradict each other: give one of them")
            return
        }
        values[name] = setting
        guard !applyWord(setting) else { return }
        guard !applyGuard(setting) else { return }
        switch name {
        case "size": size = read(setting, TmpfsWord.size(setting.name)) ?? size
        case "max_nodes": applyNodes(setting)
        case "promotion_limit":
            storage.promotionLimitBytes = read(setting, ByteCount.init(parsing:))?.bytes
        case "chunk_overhead":
            storage.chunkOverheadBytes = read(setting, orZero(CountArgument.parse)) ?? 0
        case "keep_free":
            storage.keptFreeBytes = read(setting, orZero(Self.bytes)) ?? storage.keptFreeBytes
        case "stop_timeout":
            stopTimeoutMilliseconds = read(setting, DurationArgument.milliseconds) ?? 0
        case "thresholds":
            thresholds.percents = read(setting, ThresholdPolicy.percents) ?? []
        case "threshold_hook": applyHook(setting)
        case "storage":
            storage.kind = choose(setting) ?? .auto
        case "node_limit_errno":
            let choices = [
                "EMFILE": Errno.tooManyOpenFiles, "ENOSPC": .noSpace, "EDQUOT": .diskQuotaExceeded,
            ]
            nodeLimitErrno = choose(setting, from: choices) ?? nodeLimitErrno
        case "io": applyEngine(setting)
        case "mode": mode = number(setting, radix: 8, most: 0o7777, example: "1777") ?? mode
        case "uid": owner = identity(setting, Accounts.user) ?? owner
        case "gid": group = identity(setting, Accounts.group) ?? group
        case "fsname": applyName(setting)
        case "metrics_listen": applyAddress(setting)
        // Depends on the engine, which may be named later.
        case "huge": break
        case "mpol": warnings.append("\(setting.spelling) changes nothing on a dmemfs")
        case let label where OptionList.labels.contains(label): applyLabel(setting)
        default: if !ignoresUnknown { refuseUnknown(setting) }
        }
    }

    private mutating func applyNodes(_ setting: Setting) {
        // tmpfs's way to say that there is no limit.
        if setting.name == "nr_inodes", setting.value == "0" {
            maxNodes = nil
        } else {
            maxNodes = read(setting, CountArgument.parse) ?? maxNodes
        }
    }

    private mutating func applyAddress(_ setting: Setting) {
        guard let address = NetworkListener.Address(setting.value ?? "") else {
            fault(
                "\(setting.spelling): '\(setting.value ?? "")' is no address: write :9200 for this machine "
                    + "alone, or a numeric address and a port such as 10.0.0.1:9200")
            return
        }
        metricsAddress = address
        guard !address.isLoopback else { return }
        warnings.append(
            "\(setting.spelling): whoever reaches \(address) reads which directories and users have quotas")
    }

    /// Notices a page that nobody could look at.
    mutating func checkPage() {
        guard let page = values["page"], metricsAddress == nil else { return }
        fault("\(page.spelling) needs an address: give --metrics-listen, too")
    }

    private mutating func applyLabel(_ setting: Setting) {
        guard let value = setting.value, !value.isEmpty else {
            fault("\(setting.spelling) needs a value: the label")
            return
        }
        flags.insert("\(setting.name)=\(OptionList.escaped(value))")
    }

    /// Settings that are a bare word. Returns whether `setting` was one.
    private mutating func applyWord(_ setting: Setting) -> Bool {
        switch setting.name {
        case "nonempty": acceptsNonEmpty = true
        case "acl": usesACL = true
        case "noacl": usesACL = false
        case "io_uring": usesIOUring = true
        case "page": showsPage = true
        case "mlock", "noswap": locksMemory = true
        case "allow_other":
            allowsOthers = true
            flags.remove("allow_root")
        case "allow_root":
            allowsOthers = false
            flags.insert("allow_root")
        case "private":
            allowsOthers = false
            flags.remove("allow_root")
        case "ro", "noexec", "noatime", "sync", "dirsync", "auto_unmount": flags.insert(setting.name)
        case "nosuid", "nodev":
            flags.remove(String(setting.name.dropFirst(2)))
            flags.insert(setting.name)
        case "rw": flags.remove("ro")
        case "exec": flags.remove("noexec")
        case "atime": flags.remove("noatime")
        case "async": flags.remove("sync")
        case "symfollow": followsSymlinks = true
        case "nosymfollow":
            guard isRoot else {
                fault("\(setting.spelling) is for root only: leave it out")
                return true
            }
            followsSymlinks = false
        case "suid", "dev":
            guard isRoot else {
                fault("\(setting.spelling) is for root only: leave it out")
                return true
            }
            flags.remove("no\(setting.name)")
            // libfuse adds the opposite unless it is told.
            flags.insert(setting.name)
        case let name where OptionList.isAccepted(name): return true
        default: return false
        }
        if setting.value != nil { fault("\(setting.spelling) takes no value: write just '\(setting.name)'") }
        return true
    }

    /// Settings of the memory guard. Returns whether `setting` was one.
    private mutating func applyGuard(_ setting: Setting) -> Bool {
        switch setting.name {
        case "memory_guard": memoryGuard.mode = choose(setting) ?? .perWrite
        case "memory_guard_action": memoryGuard.action = choose(setting) ?? .raise
        case "memory_guard_interval":
            // 0 would read before each write, which no machine can bear: a millisecond is the least.
            memoryGuard.intervalMilliseconds = max(1, read(setting, DurationArgument.milliseconds) ?? 0)
        case "memory_guard_headroom":
            memoryGuard.headroomBytes = read(setting, orZero(Self.bytes)) ?? memoryGuard.headroomBytes
        default: return false
        }
        return true
    }

    private static func bytes(_ text: String) throws(QuantityError) -> Int {
        try ByteCount(parsing: text).bytes
    }

    /// Lets `parse` also take 0, where nothing is a good amount.
    private func orZero(
        _ parse: @escaping (String) throws(QuantityError) -> Int
    ) -> (String) throws(QuantityError) -> Int {
        { (text) throws(QuantityError) in text == "0" ? 0 : try parse(text) }
    }

    private mutating func applyEngine(_ setting: Setting) {
        if setting.value == "auto" {
            engine = .memory
        } else if let named = Engine(rawValue: setting.value ?? "") {
            engine = named
        } else {
            let names = Engine.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
            fault("\(setting.spelling): '\(setting.value ?? "")' is no engine: use 'auto', \(names)")
        }
    }

    /// Notices settings that the engine has no use for.
    mutating func checkEngine() {
        let chosen = engine.rawValue
        let ofMemory = engine.usesTmpfs ? ["storage", "chunk_overhead", "promotion_limit"] : []
        for name in ofMemory {
            guard let setting = values[name]?.spelling else { continue }
            fault("\(setting) belongs to engine 'memory', not to '\(chosen)': leave one of them out")
        }
        guard let huge = values["huge"] else { return }
        if engine == .passthrough {
            hugePages = choose(huge) ?? .auto
        } else if engine == .memory, huge.value == EngineTmpfs.HugePages.withinSize.rawValue {
            storage.takesHugePages = true
            // What is locked cannot be split, so that a part of a huge page would not go back.
            if locksMemory {
                fault("\(huge.spelling) and memory that is locked exclude each other: leave one of them out")
            }
        } else if huge.value != "never", huge.value != "auto" {
            // tmpfs's word, which fstab may hand on.
            warnings.append("\(huge.spelling) changes nothing with engine '\(chosen)'")
        }
    }

    private mutating func applyHook(_ setting: Setting) {
        guard let path = setting.value, path.hasPrefix("/"), Files.isExecutable(path) else {
            let path = setting.value ?? ""
            fault(
                "\(setting.spelling): '\(path)' is no program: name one by its whole path, as /usr/bin/NAME")
            return
        }
        thresholds.hook = path
    }

    private mutating func applyName(_ setting: Setting) {
        guard let value = setting.value, !value.isEmpty,
            !value.contains(where: { $0.isNewline || $0 == "\0" }), value.utf8.count <= Self.nameLimitBytes
        else {
            let limit = Self.nameLimitBytes
            fault("\(setting.spelling) needs a name of at most \(limit) bytes, such as fsname=scratch")
            return
        }
        if value.contains(":") {
            warnings.append("df takes '\(value)' for a server's name: a name without a colon is better")
        }
        name = value
    }

    /// What the FUSE session has room for.
    private static let nameLimitBytes = 240

    private mutating func refuseUnknown(_ setting: Setting) {
        let hint = OptionList.nearest(to: setting.name).map { "did you mean '\($0)'?" }
        fault("unknown option '\(setting.name)' in -o: \(hint ?? "'dmemfs help mount' lists what there is")")
    }

    private mutating func read<Value>(
        _ setting: Setting, _ parse: (String) throws(QuantityError) -> Value
    ) -> Value? {
        do throws(QuantityError) {
            return try parse(setting.value ?? "")
        } catch {
            fault("\(setting.spelling): \(error)")
            return nil
        }
    }

    private mutating func choose<Value: RawRepresentable<String> & CaseIterable>(
        _ setting: Setting
    ) -> Value? {
        choose(setting, from: Dictionary(uniqueKeysWithValues: Value.allCases.map { ($0.rawValue, $0) }))
    }

    private mutating func choose<Value>(_ setting: Setting, from choices: [String: Value]) -> Value? {
        if let value = setting.value, let choice = choices[value] { return choice }
        let names = choices.keys.sorted().joined(separator: ", ")
        fault("\(setting.spelling): '\(setting.value ?? "")' is none of the choices: use one of \(names)")
        return nil
    }

    /// The number of a user or a group, which may be written as its name.
    private mutating func identity(_ setting: Setting, _ find: (String) -> UInt32?) -> UInt32? {
        if let value = setting.value, let found = find(value) { return found }
        return number(setting, radix: 10, most: .max - 1, example: "1000, or a name that this system knows")
    }

    private mutating func number(_ setting: Setting, radix: Int, most: UInt32, example: String) -> UInt32? {
        if let value = setting.value, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = UInt32(value, radix: radix), number <= most
        {
            return number
        }
        let base = radix == 8 ? "an octal number" : "a number"
        fault("\(setting.spelling): '\(setting.value ?? "")' is not \(base): write one such as \(example)")
        return nil
    }
}
