/// What depends on libfuse's version: the features of a connection, and the hooks into frames and replies.
#include "session.h"
#include "protocol.h"
#include "uring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 14)
#error "libfuse 3.14 or later is needed"
#endif

_Thread_local struct shim_frame shim_frame;
_Thread_local struct shim_mailbox *shim_mailbox;

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)

static bool offers(const struct fuse_conn_info *connection, uint64_t feature) {
    return (connection->capable_ext & feature) != 0;
}

static void want(struct fuse_conn_info *connection, uint64_t feature) {
    fuse_set_feature_flag(connection, feature);
}

static void refuse(struct fuse_conn_info *connection, uint64_t feature) {
    fuse_unset_feature_flag(connection, feature);
}

#else

static bool offers(const struct fuse_conn_info *connection, unsigned feature) {
    return (connection->capable & feature) != 0;
}

static void want(struct fuse_conn_info *connection, unsigned feature) {
    connection->want |= connection->capable & feature;
}

static void refuse(struct fuse_conn_info *connection, unsigned feature) {
    connection->want &= ~feature;
}

#endif

/// Asks for the long form of SETXATTR. Returns whether it will be had.
static bool negotiate_setxattr(struct fuse_conn_info *connection) {
    if ((shim_frame.offered & PROTOCOL_SETXATTR_EXT) == 0) return false;
#ifdef FUSE_CAP_SETXATTR_EXT
    want(connection, FUSE_CAP_SETXATTR_EXT);
    return true;
#else
    (void)connection;
    return FUSE_VERSION < FUSE_MAKE_VERSION(3, 17);  // `amend` asks for it.
#endif
}

/// Ends the session: the kernel lacks what was asked for.
static void end_lacking(struct shim_session *session, int failure) {
    fuse_session_exit(session->fuse);
    shim_end(session, failure);
}

/// Asks for ACLs, for modes that the umask has not been applied to, and to be told when an ACL takes setgid
/// away: the three together, as each is wrong without the others, or none.
static void negotiate_acl(struct shim_session *session, struct fuse_conn_info *connection) {
    refuse(connection, FUSE_CAP_POSIX_ACL);
    refuse(connection, FUSE_CAP_DONT_MASK);
    if (!session->acl) return;
    if (offers(connection, FUSE_CAP_POSIX_ACL) && offers(connection, FUSE_CAP_DONT_MASK) &&
        negotiate_setxattr(connection)) {
        want(connection, FUSE_CAP_POSIX_ACL);
        want(connection, FUSE_CAP_DONT_MASK);
        session->extends_setxattr = true;
    } else {
        end_lacking(session, EOPNOTSUPP);
    }
}

void shim_negotiate(struct shim_session *session, struct fuse_conn_info *connection) {
    connection->max_write = (unsigned)session->largest_request;
    connection->max_background = 64;
    connection->congestion_threshold = 48;

    want(connection, FUSE_CAP_ASYNC_READ);
    want(connection, FUSE_CAP_PARALLEL_DIROPS);
    want(connection, FUSE_CAP_READDIRPLUS);
    want(connection, FUSE_CAP_READDIRPLUS_AUTO);
    // Symlinks never change, so what the kernel keeps of them is always right.
    want(connection, FUSE_CAP_CACHE_SYMLINKS);
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
    want(connection, FUSE_CAP_HANDLE_KILLPRIV_V2);
    connection->no_interrupt = 1;
    if (session->passes_through) {
        want(connection, FUSE_CAP_PASSTHROUGH);
        // libfuse adds one: a mount of ours may so still be the lower layer of an overlay.
        connection->max_backing_stack_depth = 0;
    }
#endif

    // With OPEN declined the kernel would tell nobody of O_TRUNC, and the old content would stay.
    refuse(connection, FUSE_CAP_ATOMIC_O_TRUNC);
    // Nothing changes a file behind the kernel's back: its pages stay good although our times move.
    refuse(connection, FUSE_CAP_AUTO_INVAL_DATA);
    // Data that the kernel holds back could be refused only after write() had returned: no hard quota.
    refuse(connection, FUSE_CAP_WRITEBACK_CACHE);
    refuse(connection, FUSE_CAP_SPLICE_READ);
    refuse(connection, FUSE_CAP_SPLICE_WRITE);
    refuse(connection, FUSE_CAP_SPLICE_MOVE);
    // Direct I/O that answers later would leave what others have read meanwhile in the page cache.
    refuse(connection, FUSE_CAP_ASYNC_DIO);
    // What the kernel has forgotten it finds again by its ID, as "." in itself, and its parent as "..".
    want(connection, FUSE_CAP_EXPORT_SUPPORT);
    negotiate_acl(session, connection);
    if (session->rings > 0 && (shim_frame.offered2 & PROTOCOL_OVER_IO_URING) == 0) {
        end_lacking(session, EPROTONOSUPPORT);
    }

    session->declines_open = !session->answers_open && offers(connection, FUSE_CAP_NO_OPEN_SUPPORT);
    session->declines_opendir = offers(connection, FUSE_CAP_NO_OPENDIR_SUPPORT);
}

static bool holds(size_t count, size_t body) {
    return count >= sizeof(struct protocol_header) + body;
}

static void examine_init(const struct protocol_init_in *init, size_t count) {
    if (!holds(count, offsetof(struct protocol_init_in, flags2))) return;
    shim_frame.is_init = true;
    shim_frame.offered = init->flags;
    if ((init->flags & PROTOCOL_INIT_EXT) != 0 && holds(count, sizeof *init)) {
        shim_frame.offered2 = init->flags2;
    }
}

static void examine_setxattr(bool is_long, const void *body, size_t count) {
    const struct protocol_setxattr_long_in *setting = body;
    size_t before_name = is_long ? sizeof *setting : sizeof(struct protocol_setxattr_in);
    if (!holds(count, before_name)) return;
    shim_frame.xattr_name = (const char *)body + before_name;
    shim_frame.drops_setgid = is_long && (setting->acl_flags & PROTOCOL_SETXATTR_ACL_KILL_SGID) != 0;
}

void shim_examine(const struct shim_session *session, char *frame, size_t count) {
    shim_frame = (struct shim_frame){.end = frame + count, .xattr_name = frame + count};
    struct protocol_header *header = (void *)frame;
    const void *body = header + 1;

    switch (header->opcode) {
    case PROTOCOL_INIT:
        examine_init(body, count);
        break;
    case PROTOCOL_WRITE:
        shim_frame.drops_privileges =
            holds(count, sizeof(struct protocol_write_in)) &&
            (((const struct protocol_write_in *)body)->write_flags & PROTOCOL_WRITE_KILL_SUIDGID) != 0;
        break;
    case PROTOCOL_SETATTR:
        // Not every libfuse hands the bit on.
        if (holds(count, sizeof(uint32_t))) {
            uint32_t asked = *(const uint32_t *)body;
            shim_frame.drops_privileges =
                (asked & PROTOCOL_SETATTR_FIELDS) == 0 || (asked & PROTOCOL_SETATTR_KILL_SUIDGID) != 0;
        }
        break;
    case PROTOCOL_SETXATTR:
        examine_setxattr(session->extends_setxattr, body, count);
        break;
    case PROTOCOL_INTERRUPT:
        // No request of ours waits for anything, so none is worth interrupting: the kernel remembers ENOSYS.
        header->opcode = PROTOCOL_UNUSED;
        break;
#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)
    case PROTOCOL_TMPFILE:
        // The same layout; the name is "/", which no file can have, so that `forward_create` knows it again.
        header->opcode = PROTOCOL_CREATE;
        break;
#endif
    default:
        break;
    }
}

/// Adds to the INIT reply what libfuse cannot say (of PARALLEL_DIROPS it only forgets to).
static void amend(const struct shim_session *session, struct iovec *vectors, int count) {
    if (!shim_frame.is_init || count != 2 || vectors[1].iov_len != sizeof(struct protocol_init_out)) return;
    struct protocol_init_out *answer = vectors[1].iov_base;
    uint32_t wanted = 0;
    // The kernel takes it from those alone who leave permissions to it, as we do.
    answer->flags2 |= shim_frame.offered2 & PROTOCOL_ALLOW_IDMAP;
    if (session->rings > 0) answer->flags2 |= shim_frame.offered2 & PROTOCOL_OVER_IO_URING;
#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)
    wanted |= PROTOCOL_HANDLE_KILLPRIV_V2 | PROTOCOL_PARALLEL_DIROPS;
    if (session->extends_setxattr) wanted |= PROTOCOL_SETXATTR_EXT;
    if (session->passes_through && (shim_frame.offered2 & PROTOCOL_PASSTHROUGH) != 0) {
        answer->flags2 |= PROTOCOL_PASSTHROUGH;
        // A mount of ours may so still be the lower layer of an overlay.
        answer->max_stack_depth = 1;
    }
#endif
    if (answer->flags2 != 0) wanted |= PROTOCOL_INIT_EXT;
    answer->flags |= shim_frame.offered & wanted;
}

static ssize_t send_reply(int fd, struct iovec *vectors, int count, void *session) {
    amend(session, vectors, count);
    if (shim_is_on_ring()) return shim_ring_reply(vectors, count);
    struct shim_mailbox *mailbox = shim_mailbox;
    if (mailbox == NULL) return writev(fd, vectors, count);

    size_t sent = 0;
    for (int index = 0; index < count; index++) {
        size_t room = mailbox->capacity - mailbox->count;
        size_t part = vectors[index].iov_len < room ? vectors[index].iov_len : room;
        if (part > 0) memcpy(mailbox->bytes + mailbox->count, vectors[index].iov_base, part);
        mailbox->count += part;
        sent += vectors[index].iov_len;
    }
    return (ssize_t)sent;
}

static ssize_t receive_request(int fd, void *buffer, size_t capacity, void *session) {
    (void)session;
    return read(fd, buffer, capacity);
}

int shim_install_hooks(struct shim_session *session, int fd) {
    static const struct fuse_custom_io hooks = {.writev = send_reply, .read = receive_request};
    return fuse_session_custom_io(session->fuse, &hooks, fd);
}
