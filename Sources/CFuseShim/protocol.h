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
    PROTOCOL_WRITE = 16,
    PROTOCOL_SETXATTR = 21,
    PROTOCOL_INIT = 26,
    PROTOCOL_CREATE = 35,
    PROTOCOL_INTERRUPT = 36,
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
    /// INIT, in the second word: the mount may be mounted again with other user and group IDs.
    PROTOCOL_ALLOW_IDMAP = 1u << 8,
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
    uint32_t unused[7];
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

_Static_assert(sizeof(struct protocol_header) == 40, "layout of the request header");
_Static_assert(sizeof(struct protocol_init_out) == 64, "layout of the INIT reply");
_Static_assert(sizeof(struct protocol_write_in) == 40, "layout of a WRITE request");

#endif
