import ArgumentParser

/// Measures dmemfs. Meant for a release build.
@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmemfs-bench", abstract: "Measure dmemfs, beside tmpfs and by itself.",
        subcommands: [Mounts.self, GuardCost.self])
}
