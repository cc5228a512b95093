import CBench

extension Workload {
    /// Files of 4 KiB, 200 to a directory: each is made, looked at, read, looked at again, and removed.
    ///
    /// What is not measured: a cold cache of names, since whoever makes a file has its name in the cache;
    /// very large directories, for which see `growth`; and files without content.
    static func smallFiles(_ scale: Scale, clients: Int) -> Workload {
        let files = scale.smallFiles
        let all = files * clients
        func step(_ name: String, _ work: bench_work) -> Step {
            .rate(name, all, "") { try $0.loop(work, jobs: clients, files, bytes: 4096) }
        }
        return Workload(
            "small files" + suffix(clients), isMetadata: clients == 1,
            [
                .untimed { try $0.loop(bench_make_folders, jobs: clients, files) },
                step("create and write", bench_create),
                step("stat, first", bench_stat),
                step("open and read", bench_open_and_read),
                step("stat, again", bench_stat),
                step("stat of no file", bench_stat_absent),
                step("unlink", bench_unlink),
                .untimed { try $0.loop(bench_remove_folders, jobs: clients, files) },
            ])
    }
}
