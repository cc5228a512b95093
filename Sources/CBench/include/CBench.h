/// What dmemfs-bench repeats, in C: system calls with as little as can be between them, and a count of
/// allocations.
///
/// In C since the loops must cost nothing beside a call that takes a tmpfs less than a microsecond.
#ifndef DMEMFS_CBENCH_H
#define DMEMFS_CBENCH_H

#include <stddef.h>
#include <stdint.h>

/// How often this thread has asked the C heap for memory since it began. All of the program counts: the Swift
/// runtime, libfuse and the C library use the same heap.
int64_t bench_allocations(void);

/// One kind of work. A job has 200 small files to a directory, and all jobs share one large file.
enum bench_work {
    /// Makes the directories for `count` small files.
    bench_make_folders,
    /// Makes `count` new files of `bytes` each: open, write, close.
    bench_create,
    /// stat(2) of `count` files.
    bench_stat,
    /// Reads `count` files of `bytes` each: open, read, close.
    bench_open_and_read,
    /// stat(2) of `count` names that are not there.
    bench_stat_absent,
    /// Removes `count` files.
    bench_unlink,
    /// Removes the directories for `count` small files, which are empty.
    bench_remove_folders,
    /// Writes the large file from its start, `count` pieces of `bytes` each. Makes it where it is missing.
    bench_write_large,
    /// Reads the large file from its start, `count` pieces of `bytes` each.
    bench_read_large,
    /// Reads `count` pieces of `bytes` each at random places of the large file.
    bench_read_randomly,
    /// Overwrites `count` pieces of `bytes` each at random places of the large file.
    bench_write_randomly,
    /// Gives up what the page cache holds of the large file; a tmpfs has nothing to give up.
    bench_evict_large,
    /// Removes the large file.
    bench_remove_large,
};

/// Does one kind of work below the open directory `directory`, in `jobs` threads at once, each with `count`
/// files or pieces of its own. One job needs no thread.
///
/// Returns 0, or the errno of a call that failed; EIO for a read or a write that was cut short.
int bench_run(enum bench_work work, int directory, int jobs, int64_t count, int64_t bytes);

/// What a request is made of at the least, without FUSE.
enum bench_part {
    /// Writes 1 MiB of a new file.
    bench_part_write,
    /// Reserves and writes 1 MiB of a new file, as an engine must that refuses a request whole.
    bench_part_reserved_write,
    /// Copies 1 MiB between buffers that are in use.
    bench_part_copy,
    /// Copies 1 MiB to memory that is taken for it.
    bench_part_copy_to_fresh,
    /// Wakes another thread and is woken by it.
    bench_part_turn,
    /// The same with both on one processor.
    bench_part_turn_on_one,
};

/// Does one part `count` times, with files that have no name in the open directory `directory`.
///
/// Returns the time for all in ns, or an errno below 0.
int64_t bench_bound(enum bench_part part, int directory, int64_t count);

#endif
