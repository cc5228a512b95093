/// What the C files of this target share.
#ifndef DMEMFS_SESSION_H
#define DMEMFS_SESSION_H

#include "CFuseShim.h"
#include "freeze.h"

#include <pthread.h>
#include <stdatomic.h>

/// Of a thread that serves requests: the callbacks recurse nowhere, and large buffers are not on it.
#define SHIM_STACK_BYTES (1 << 20)

struct shim_session {
    // Constant once made.
    void *context;
    struct fuse_session *fuse;
    unsigned workers;
    unsigned spin_microseconds;
    bool answers_open;
    bool passes_through;
    bool acl;
    /// How many threads serve the rings of io_uring beside the workers; 0 without io_uring.
    unsigned rings;
    struct shim_ring *ring;
    /// In bytes, of data.
    size_t largest_request;
    /// Readable once the workers must end: it wakes those that block.
    int stop_fd;

    // Written while INIT is answered, before any other request.
    atomic_bool declines_open;
    atomic_bool declines_opendir;
    /// SETXATTR requests have the long form.
    atomic_bool extends_setxattr;

    atomic_bool stopping;
    /// Whether a thread looks for requests without blocking; at most one does.
    atomic_bool spinning;

    // Guarded by `lock`; `changed` says that one of them changed, or `stopping` did.
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool begun;
    /// INIT is answered.
    bool negotiated;
    /// How many ring threads have handed the kernel what it needs.
    unsigned registered;
    int failure;

    struct shim_parking parking;

    /// One for each thread, its own: odd while it serves a request. The workers come first, and then the ring
    /// threads, and one for who loops back.
    atomic_uint *beats;
    /// How many workers have taken theirs.
    atomic_uint beating;
    /// As many.
    struct shim_tally *tallies;
    /// The first `started` of them are to be joined.
    pthread_t *threads;
    unsigned started;
};

/// What the frame being served on this thread says beyond what libfuse hands on.
struct shim_frame {
    /// Behind the frame's last byte. Lengths that a request names are held against it.
    const char *end;
    /// The request says, by itself or by asking for nothing else, that setuid and setgid must go.
    bool drops_privileges;
    /// It is INIT, and these are the flags the kernel offers.
    bool is_init;
    uint32_t offered;
    /// The second word of them; 0 where there is none.
    uint32_t offered2;
    /// The name in a SETXATTR request; the frame's end where it has none.
    const char *xattr_name;
    /// It sets an ACL, and setgid must go.
    bool drops_setgid;
};

extern _Thread_local struct shim_frame shim_frame;

/// The one table of operations.
extern const struct fuse_lowlevel_ops shim_operations;

/// How many threads serve requests.
unsigned shim_threads(const struct shim_session *session);

/// Serves one frame as the thread `thread` of the session, and says when it was INIT. Returns when it was
/// served.
uint64_t shim_serve_frame(struct shim_session *session, const struct fuse_buf *buffer, unsigned thread);

/// Waits until `*condition`, which `lock` guards. Returns whether it came; the session may end before.
bool shim_may_go_on(struct shim_session *session, const bool *condition);

/// Ends the session: a thread of it has ended, with 0 or an errno.
void shim_end(struct shim_session *session, int failure);

/// Chooses the features of a connection, in libfuse's init operation.
void shim_negotiate(struct shim_session *session, struct fuse_conn_info *connection);

/// Notes what `frame` says, and changes what this libfuse would not understand.
void shim_examine(const struct shim_session *session, char *frame, size_t count);

/// Gives libfuse our own way to answer, where its version needs that. Returns 0 or a negative errno.
int shim_install_hooks(struct shim_session *session, int fd);

/// Where a reply goes on this thread while a test exchanges frames; NULL otherwise.
struct shim_mailbox {
    char *bytes;
    size_t capacity;
    size_t count;
};

extern _Thread_local struct shim_mailbox *shim_mailbox;

#endif
