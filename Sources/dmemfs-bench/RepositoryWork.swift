extension Workload {
    /// A clone of a repository with one commit, and five `git status` in it.
    ///
    /// What is not measured: the repository that is cloned lies on a tmpfs; the network; a long history.
    static func repository(_ scale: Scale) -> Workload {
        Workload(
            "git", isMetadata: true,
            [
                .seconds("git clone") { try $0.shell(#"git clone -q --no-hardlinks "$SOURCE/tree" clone"#) },
                .seconds("git status, 5 times") {
                    try $0.shell("cd clone; for run in 1 2 3 4 5; do git status --short; done")
                },
                .untimed { try $0.shell("rm -rf clone") },
            ])
    }
}
