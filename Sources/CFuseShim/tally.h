/// What the C files of this target share about counting.
#ifndef DMEMFS_TALLY_H
#define DMEMFS_TALLY_H

#include "session.h"

/// What one thread has served. Each has its own, so that none waits for another's cache line.
struct shim_tally {
    _Alignas(64) atomic_ullong requests[SHIM_KINDS][SHIM_BUCKETS];
    atomic_ullong nanoseconds[SHIM_KINDS];
    atomic_ullong bytes_read;
    atomic_ullong bytes_written;
};

/// Of the thread that serves; set before it serves the first request.
extern _Thread_local struct shim_tally *shim_tally;

/// Which kind of request is in `buffer`.
unsigned shim_kind_of(const struct fuse_buf *buffer);

/// Nanoseconds of the monotonic clock.
uint64_t shim_now(void);

/// Counts one request.
void shim_count(struct shim_tally *tally, unsigned kind, uint64_t nanoseconds);

#endif
