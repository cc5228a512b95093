extension Workload {
    /// What people do with a tree of sources, by the programs that they do it with.
    ///
    /// What is not measured: the tar archive is read from a tmpfs, and the time that the programs take to
    /// start and to compute is in every figure, so that ratios come out nearer to 1 than those of the calls
    /// alone.
    static func sourceTree(_ scale: Scale) -> Workload {
        Workload(
            "source tree", isMetadata: true,
            [
                .seconds("untar") { try $0.shell(#"tar xf "$SOURCE/tree.tar""#) },
                .seconds("du, first") { try $0.shell("du -s tree >/dev/null") },
                .seconds("du, again") { try $0.shell("du -s tree >/dev/null") },
                .seconds("grep -r") { try $0.shell("! grep -rlF 'no such line' tree") },
                .seconds("cp -a") { try $0.shell("cp -a tree copy") },
                .seconds("rm -rf") { try $0.shell("rm -rf copy") },
                .untimed { try $0.shell("rm -rf tree") },
            ])
    }
}
