import CBench

extension Workload {
    /// Pieces of 4 KiB at random places of one file.
    ///
    /// What is not measured: files that the page cache does not hold, queues of requests (`io_uring`), and
    /// syncing, which does nothing in memory. Two clients share the file, so that the kernel's own lock on it
    /// is part of what two writers can do.
    static func random(_ scale: Scale, clients: Int) -> Workload {
        let (reads, writes) = (scale.randomReads, scale.randomWrites)
        return Workload(
            "random 4 KiB" + suffix(clients),
            [
                .untimed { try $0.loop(bench_write_large, scale.randomMebibytes, bytes: 1 << 20) },
                .untimed { try $0.loop(bench_read_large, scale.randomMebibytes, bytes: 1 << 20) },
                .rate("read", reads * clients, "") {
                    try $0.loop(bench_read_randomly, jobs: clients, reads, bytes: 4096)
                },
                .rate("write", writes * clients, "") {
                    try $0.loop(bench_write_randomly, jobs: clients, writes, bytes: 4096)
                },
                .untimed { try $0.loop(bench_remove_large, 1) },
            ])
    }
}
