import ArgumentParser

/// Measures parts of dmemfs without a mount; one measurement a file. Meant for a release build.
@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmemfs-bench", abstract: "Measure parts of dmemfs.",
        subcommands: [GuardCost.self, QuotaCost.self])
}
