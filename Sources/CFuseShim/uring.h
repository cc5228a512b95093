/// What the C files of this target share about requests that come through io_uring.
#ifndef DMEMFS_URING_H
#define DMEMFS_URING_H

#include "session.h"

/// Decides how many ring threads `session` has, and makes their rings. Returns 0, or an errno: ENOTSUP where
/// the processors cannot be told.
int shim_rings_make(struct shim_session *session);

/// Serves the ring of one thread until the session ends: a thread's main function.
void *shim_ring_work(void *ring);

/// The ring of the ring thread `index`.
struct shim_ring *shim_ring_at(const struct shim_session *session, unsigned index);

/// After the threads have ended.
void shim_rings_unmake(struct shim_session *session);

/// Whether this thread serves a request that came through a ring.
bool shim_is_on_ring(void);

/// Puts the reply of the request that this thread serves where the kernel will take it from. Returns its
/// length.
ssize_t shim_ring_reply(const struct iovec *vectors, int count);

/// Hands the kernel the reply at once, and not only when the request has been served.
void shim_ring_flush(void);

#endif
