/// The little of the FUSE wire format that we look at ourselves, written from the protocol's published
/// layout.
///
/// The kernel headers of the oldest system we build on lack some of these names, so they have names of our
/// own.
#ifndef DMEMFS_PROTOCOL_H
#define DMEMFS_PROTOCOL_H

#include <stdint.h>

enum {
    PROTOCOL_SETATTR = 4,
    PROTOCOL_SYMLINK = 6,
    PROTOCOL_MKNOD = 8,
    PROTOCOL_MKDIR = 9,
    PROTOCOL_UNLINK = 10,
    PROTOCOL_RMDIR = 11,
    PROTOCOL_RENAME = 12,
    PROTOCOL_LINK = 13,
    PROTOCOL_WRITE = 16,
    PROTOCOL_SETXATTR = 21,
    PROTOCOL_REMOVEXATTR = 24,
    PROTOCOL_INIT = 26,
    PROTOCOL_CREATE = 35,
    PROTOCOL_INTERRUPT = 36,
    PROTOCOL_FALLOCATE = 43,
    PROTOCOL_RENAME2 = 45,
    PROTOCOL_COPY_FILE_RANGE = 47,
    PROTOCOL_TMPFILE = 51,
    /// An opcode that nobody uses, and libfuse so answers with ENOSYS.
    PROTOCOL_UNUSED = 4095,
};

enum {
    /// INIT: lookups and listings in one directory may run side by side.
    PROTOCOL_PARALLEL_DIROPS = 1u << 18,
    /// INIT: a write, truncation or change of owner clears privileges in the filesystem, on demand.
    PROTOCOL_HANDLE_KILLPRIV_V2 = 1u << 28,
    /// INIT: SETXATTR requests have the long form.
    PROTOCOL_SETXATTR_EXT = 1u << 29,
    /// INIT: there is a second word of flags.
    PROTOCOL_INIT_EXT = 1u << 30,
    /// INIT, in the second word: files may be read, written and mapped through a backing file.
    PROTOCOL_PASSTHROUGH = 1u << 5,
    /// INIT, in the second word: the mount may be mounted again with other user and group IDs.
    PROTOCOL_ALLOW_IDMAP = 1u << 8,
    /// INIT, in the second word: requests may come through io_uring.
    PROTOCOL_OVER_IO_URING = 1u << 9,
    /// Replies to OPEN and CREATE.
    PROTOCOL_OPEN_PASSTHROUGH = 1u << 7,
    /// WRITE: clear setuid and setgid.
    PROTOCOL_WRITE_KILL_SUIDGID = 1u << 2,
    /// SETATTR: clear setuid and setgid.
    PROTOCOL_SETATTR_KILL_SUIDGID = 1u << 11,
    /// SETATTR: mode, owner, group, size, the times, "now" for two of them. Without any, privileges are
    /// dropped.
    PROTOCOL_SETATTR_FIELDS = 0x3f | 1u << 7 | 1u << 8 | 1u << 10,
    /// SETXATTR, in the long form: clear setgid.
    PROTOCOL_SETXATTR_ACL_KILL_SGID = 1u << 0,
};

struct protocol_header {
    uint32_t length;
    uint32_t opcode;
    uint64_t unique;
    uint64_t node;
    uint32_t user;
    uint32_t group;
    uint32_t process;
    uint32_t padding;
};

/// An answer that is an error.
struct protocol_refusal {
    uint32_t length;
    int32_t error;
    uint64_t unique;
};

struct protocol_init_in {
    uint32_t major;
    uint32_t minor;
    uint32_t max_readahead;
    uint32_t flags;
    /// Missing before protocol 7.36.
    uint32_t flags2;
};

struct protocol_init_out {
    uint32_t major;
    uint32_t minor;
    uint32_t max_readahead;
    uint32_t flags;
    uint16_t max_background;
    uint16_t congestion_threshold;
    uint32_t max_write;
    uint32_t time_granularity;
    uint16_t max_pages;
    uint16_t map_alignment;
    uint32_t flags2;
    /// How many filesystems a backing file may lie under; from 1 on for passthrough.
    uint32_t max_stack_depth;
    uint32_t unused[6];
};

struct protocol_attributes {
    uint64_t number;
    uint64_t size;
    uint64_t blocks;
    uint64_t accessed;
    uint64_t modified;
    uint64_t changed;
    uint32_t accessed_nanoseconds;
    uint32_t modified_nanoseconds;
    uint32_t changed_nanoseconds;
    uint32_t mode;
    uint32_t links;
    uint32_t owner;
    uint32_t group;
    uint32_t device;
    uint32_t block_size;
    uint32_t flags;
};

struct protocol_entry_out {
    uint64_t node;
    uint64_t generation;
    uint64_t entry_seconds;
    uint64_t attributes_seconds;
    uint32_t entry_nanoseconds;
    uint32_t attributes_nanoseconds;
    struct protocol_attributes attributes;
};

struct protocol_open_out {
    uint64_t handle;
    uint32_t flags;
    int32_t backing;
};

/// Of the ioctls on a connection.
struct protocol_backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};

#define PROTOCOL_BACKING_OPEN _IOW(229, 1, struct protocol_backing_map)
#define PROTOCOL_BACKING_CLOSE _IOW(229, 2, uint32_t)

/// Of fsopen(2) and fsconfig(2).
enum {
    PROTOCOL_FSOPEN_CLOEXEC = 1,
    PROTOCOL_FSCONFIG_STRING = 1,
    PROTOCOL_FSCONFIG_CREATE = 6,
};

struct protocol_write_in {
    uint64_t handle;
    uint64_t offset;
    uint32_t size;
    uint32_t write_flags;
    uint64_t lock_owner;
    uint32_t flags;
    uint32_t padding;
};

/// The short form, which the kernel sends unless the long one was negotiated.
struct protocol_setxattr_in {
    uint32_t size;
    uint32_t flags;
};

/// The long form, negotiated together with ACLs.
struct protocol_setxattr_long_in {
    uint32_t size;
    uint32_t flags;
    uint32_t acl_flags;
    uint32_t padding;
};

/// Of the commands to a connection that an io_uring carries.
enum {
    /// Lends the kernel an entry, which a request may fill.
    PROTOCOL_RING_REGISTER = 1,
    /// Answers the request in an entry, and lends the entry again.
    PROTOCOL_RING_COMMIT = 2,
};

/// What a command says, in the long form of a submission.
struct protocol_ring_command {
    uint64_t flags;
    uint64_t commit;
    uint16_t queue;
    uint8_t padding[6];
};

/// What an entry has besides its payload: of a request all that lies behind its header and operands, of an
/// answer all behind its header.
struct protocol_ring_entry {
    /// The header of the request, and then of the answer.
    char header[128];
    /// The part of the request that is of one length for its kind; it may be empty.
    char operands[128];
    uint64_t flags;
    uint64_t commit;
    uint32_t payload;
    uint32_t padding;
    uint64_t reserved;
};

_Static_assert(sizeof(struct protocol_ring_command) == 24, "layout of a ring command");
_Static_assert(sizeof(struct protocol_ring_entry) == 288, "layout of a ring entry");
_Static_assert(sizeof(struct protocol_header) == 40, "layout of the request header");
_Static_assert(sizeof(struct protocol_init_out) == 64, "layout of the INIT reply");
_Static_assert(sizeof(struct protocol_attributes) == 88, "layout of attributes");
_Static_assert(sizeof(struct protocol_entry_out) == 128, "layout of an entry");
_Static_assert(sizeof(struct protocol_open_out) == 16, "layout of the OPEN reply");
_Static_assert(sizeof(struct protocol_write_in) == 40, "layout of a WRITE request");

#endif
