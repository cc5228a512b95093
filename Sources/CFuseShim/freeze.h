/// What the C files of this target share about freezing.
#ifndef DMEMFS_FREEZE_H
#define DMEMFS_FREEZE_H

#include "CFuseShim.h"

#include <pthread.h>
#include <stdatomic.h>

struct shim_parked;

/// Requests that are put aside while a session is frozen.
struct shim_parking {
    /// Whether requests that would change something are put aside. Falls under `lock`.
    atomic_bool frozen;
    /// One was more than may be put aside; set again by each freeze.
    atomic_bool is_full;

    // Guarded by `lock`; `thawed` says that `frozen` fell.
    pthread_mutex_t lock;
    pthread_cond_t thawed;
    /// Of the freeze, so that who has waited for the end of one does not wait for the next.
    unsigned number;
    /// Set when `is_full` is.
    int event;
    /// In the order in which they came.
    struct shim_parked *first;
    struct shim_parked **end;
    struct shim_parked_figures figures;
};

void shim_parking_make(struct shim_parking *parking);

/// Nothing is put aside any more.
void shim_parking_destroy(struct shim_parking *parking);

/// Puts the request in `buffer` aside where it would change something and `session` is frozen. Returns
/// whether it has; else the caller serves it, perhaps after a wait for the end of the freeze.
bool shim_park(struct shim_session *session, const struct fuse_buf *buffer);

/// Answers the request `unique` with `error`, past libfuse, which must not have seen it.
void shim_refuse(struct shim_session *session, uint64_t unique, int error);

/// Serves a request on this thread, which is no worker.
void shim_serve_alone(struct shim_session *session, void *frame, size_t count);

#endif
