import ArgumentParser

/// Every measurement, one after the other.
struct Everything: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "all", abstract: "Every measurement, one after the other (the default).")

    @OptionGroup var mounts: Mounts

    func run() throws {
        try mounts.run()
        print("what each operation takes")
        try Operations.parse([]).run()
        print("what each operation takes as the tree grows")
        try Growth.parse(mounts.quick ? ["--nodes", "100000", "--names", "10000"] : []).run()
        try GuardCost.parse([]).run()
    }
}
