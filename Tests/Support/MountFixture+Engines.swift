import Basics

extension MountFixture {
    /// The engines that can be had here, `memory` first. Says, once, why others cannot.
    package static let engines: [String] = {
        guard canMount else { return [] }
        do {
            try use(["--size", "1M", "--io", "strict"]) { _ in }
            return ["memory", "strict", "passthrough"]
        } catch {
            print("SKIPPED: every test of the engines strict and passthrough: \(error)")
            return ["memory"]
        }
    }()

    /// Those in which each write asks the ledger, and is taken or refused whole.
    package static let ledgerEngines = engines.filter { $0 != "passthrough" }

    /// Those whose files the kernel reads, writes and maps by itself.
    package static let kernelEngines = engines.filter { $0 != "memory" }
}
