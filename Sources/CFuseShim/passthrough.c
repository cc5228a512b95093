/// Files that the kernel reads, writes and maps without us: how it is told of the file behind, and whether it
/// can at all.
///
/// libfuse before 3.17 knows nothing of this, and later ones need nothing of it: the replies are written here
/// for all of them.
#include "session.h"
#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Replies ---------------------------------------------------------------------------------------------------

static struct protocol_open_out open_reply(struct shim_opening opening) {
    struct protocol_open_out reply = {.handle = opening.handle, .flags = opening.flags};
    if (opening.backing > 0) {
        reply.flags |= PROTOCOL_OPEN_PASSTHROUGH;
        reply.backing = opening.backing;
    }
    return reply;
}

int shim_reply_open(fuse_req_t request, struct shim_opening opening) {
    struct protocol_open_out reply = open_reply(opening);
    return fuse_reply_buf(request, (const char *)&reply, sizeof reply);
}

static struct protocol_attributes attributes_of(const struct stat *status) {
    return (struct protocol_attributes){
        .number = status->st_ino,
        .size = (uint64_t)status->st_size,
        .blocks = (uint64_t)status->st_blocks,
        .accessed = (uint64_t)status->st_atim.tv_sec,
        .modified = (uint64_t)status->st_mtim.tv_sec,
        .changed = (uint64_t)status->st_ctim.tv_sec,
        .accessed_nanoseconds = (uint32_t)status->st_atim.tv_nsec,
        .modified_nanoseconds = (uint32_t)status->st_mtim.tv_nsec,
        .changed_nanoseconds = (uint32_t)status->st_ctim.tv_nsec,
        .mode = status->st_mode,
        .links = (uint32_t)status->st_nlink,
        .owner = status->st_uid,
        .group = status->st_gid,
        .device = (uint32_t)status->st_rdev,
        .block_size = (uint32_t)status->st_blksize,
    };
}

int shim_reply_create(fuse_req_t request, const struct fuse_entry_param *entry, struct shim_opening opening) {
    struct {
        struct protocol_entry_out entry;
        struct protocol_open_out open;
    } reply = {
        .entry =
            {
                .node = entry->ino,
                .generation = entry->generation,
                // Whole seconds: so long is longer than any mount's names are in doubt.
                .entry_seconds = (uint64_t)entry->entry_timeout,
                .attributes_seconds = (uint64_t)entry->attr_timeout,
                .attributes = attributes_of(&entry->attr),
            },
        .open = open_reply(opening),
    };
    return fuse_reply_buf(request, (const char *)&reply, sizeof reply);
}

// Backing files ---------------------------------------------------------------------------------------------

int shim_connection_of(fuse_req_t request) {
    struct shim_session *session = fuse_req_userdata(request);
    return fuse_session_fd(session->fuse);
}

int shim_register_backing(int connection, int file) {
    struct protocol_backing_map map = {.fd = file};
    int backing = ioctl(connection, PROTOCOL_BACKING_OPEN, &map);
    return backing >= 0 ? backing : -errno;
}

void shim_unregister_backing(int connection, int backing) {
    uint32_t number = (uint32_t)backing;
    // It fails only for a number that is not registered.
    ioctl(connection, PROTOCOL_BACKING_CLOSE, &number);
}

// The probe -------------------------------------------------------------------------------------------------

/// Makes the kernel ask INIT on `connection`: a FUSE superblock that is mounted nowhere. Returns its context,
/// or a negative errno.
static int make_superblock(int connection) {
    int context = (int)syscall(SYS_fsopen, "fuse", PROTOCOL_FSOPEN_CLOEXEC);
    if (context < 0) return -errno;
    char number[16];
    snprintf(number, sizeof number, "%d", connection);
    const char *settings[][2] = {{"fd", number}, {"rootmode", "40000"}, {"user_id", "0"}, {"group_id", "0"}};
    for (size_t index = 0; index < sizeof settings / sizeof *settings; index++) {
        const char *const *setting = settings[index];
        syscall(SYS_fsconfig, context, PROTOCOL_FSCONFIG_STRING, setting[0], setting[1], 0);
    }
    // What was not taken before is missing now.
    if (syscall(SYS_fsconfig, context, PROTOCOL_FSCONFIG_CREATE, NULL, NULL, 0) == 0) return context;
    int failure = errno;
    close(context);
    return -failure;
}

/// Answers INIT as a filesystem that wants passthrough would. Returns 0, or an errno: EOPNOTSUPP where the
/// kernel does not offer it.
static int answer_init(int connection) {
    char frame[16384];
    struct pollfd wait = {.fd = connection, .events = POLLIN};
    if (poll(&wait, 1, 10000) != 1) return ETIMEDOUT;
    ssize_t count = read(connection, frame, sizeof frame);
    if (count < 0) return errno;
    const struct protocol_header *header = (const void *)frame;
    const struct protocol_init_in *asked = (const void *)(header + 1);
    bool is_long = count >= (ssize_t)(sizeof *header + sizeof *asked) && header->opcode == PROTOCOL_INIT &&
                   (asked->flags & PROTOCOL_INIT_EXT) != 0;
    if (!is_long || (asked->flags2 & PROTOCOL_PASSTHROUGH) == 0) return EOPNOTSUPP;
    struct {
        uint32_t length;
        int32_t error;
        uint64_t unique;
        struct protocol_init_out body;
    } answer = {
        .length = sizeof answer,
        .unique = header->unique,
        .body =
            {
                .major = asked->major,
                .minor = asked->minor,
                .max_readahead = asked->max_readahead,
                .flags = PROTOCOL_INIT_EXT,
                .max_write = 4096,
                .flags2 = PROTOCOL_PASSTHROUGH,
                .max_stack_depth = 1,
            },
    };
    return write(connection, &answer, sizeof answer) == sizeof answer ? 0 : errno;
}

int shim_probe_passthrough(int file) {
    int connection = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (connection < 0) return errno;
    int context = make_superblock(connection);
    int failure = context < 0 ? -context : answer_init(connection);
    if (failure == 0) {
        int backing = shim_register_backing(connection, file);
        if (backing < 0) failure = -backing;
    }
    if (context >= 0) close(context);
    close(connection);
    return failure;
}
