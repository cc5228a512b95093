import CBench

extension Workload {
    /// A large file in pieces of 1 MiB.
    ///
    /// What is not measured: other piece sizes, several files at once, mappings, and what a cache that is too
    /// small does. "Read, first" comes after the page cache has given up the file; a tmpfs cannot do that, so
    /// that its own first read is one again.
    static func sequential(_ scale: Scale) -> Workload {
        let count = scale.largeMebibytes
        return Workload(
            "sequential",
            [
                .rate("write, new", count, "MiB") { try $0.loop(bench_write_large, count, bytes: 1 << 20) },
                .rate("rewrite", count, "MiB") { try $0.loop(bench_write_large, count, bytes: 1 << 20) },
                .untimed { try $0.loop(bench_evict_large, 1) },
                .rate("read, first", count, "MiB") { try $0.loop(bench_read_large, count, bytes: 1 << 20) },
                .rate("read, again", count, "MiB") { try $0.loop(bench_read_large, count, bytes: 1 << 20) },
                .untimed { try $0.loop(bench_remove_large, 1) },
            ])
    }
}
