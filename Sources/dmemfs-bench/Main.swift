import ArgumentParser

/// Measures dmemfs. Meant for a release build.
@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmemfs-bench", abstract: "Measure dmemfs, beside tmpfs and by itself.",
        subcommands: [
            Everything.self, Mounts.self, Operations.self, Growth.self, GuardCost.self, QuotaCost.self,
            QuotaSetting.self, TopCost.self, Bounds.self,
        ],
        defaultSubcommand: Everything.self)
}
