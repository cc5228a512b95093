/// What the requests of each kind have taken: counted while they are served, without a lock.
#include "tally.h"
#include "protocol.h"

#include <time.h>

_Thread_local struct shim_tally *shim_tally;

/// By these names the metrics have them. The first is for all that have no other.
static const char *const names[SHIM_KINDS] = {
    "other",    "lookup",    "forget",     "getattr",     "setattr", "readlink", "symlink",    "mknod",
    "mkdir",    "unlink",    "rmdir",      "rename",      "link",    "open",     "read",       "write",
    "statfs",   "release",   "setxattr",   "getxattr",    "listxattr", "removexattr", "opendir", "readdir",
    "releasedir", "create",  "tmpfile",    "fallocate",   "lseek",   "copy_file_range",
};

/// The place in `names` of each opcode.
static const uint8_t kinds[] = {
    [1] = 1,   [2] = 2,   [3] = 3,   [4] = 4,   [5] = 5,   [6] = 6,   [8] = 7,   [9] = 8,   [10] = 9,
    [11] = 10, [12] = 11, [13] = 12, [14] = 13, [15] = 14, [16] = 15, [17] = 16, [18] = 17, [21] = 18,
    [22] = 19, [23] = 20, [24] = 21, [27] = 22, [28] = 23, [29] = 24, [35] = 25, [42] = 2,  [43] = 27,
    [44] = 23, [45] = 11, [46] = 28, [47] = 29, [51] = 26,
};

const char *shim_kind_name(unsigned kind) {
    return names[kind < SHIM_KINDS ? kind : 0];
}

unsigned shim_kind_of(const struct fuse_buf *buffer) {
    const struct protocol_header *header = buffer->mem;
    return header->opcode < sizeof kinds ? kinds[header->opcode] : 0;
}

uint64_t shim_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void shim_count(struct shim_tally *tally, unsigned kind, uint64_t nanoseconds) {
    uint64_t units = nanoseconds == 0 ? 0 : (nanoseconds - 1) >> SHIM_FIRST_BUCKET;
    unsigned bucket = units == 0 ? 0 : 64 - (unsigned)__builtin_clzll(units);
    if (bucket >= SHIM_BUCKETS) bucket = SHIM_BUCKETS - 1;
    // Relaxed: a count orders nothing else. Other threads write here in a loopback, and after a freeze.
    atomic_fetch_add_explicit(&tally->requests[kind][bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->nanoseconds[kind], nanoseconds, memory_order_relaxed);
}

void shim_count_read(size_t bytes) {
    atomic_fetch_add_explicit(&shim_tally->bytes_read, bytes, memory_order_relaxed);
}

void shim_count_written(size_t bytes) {
    atomic_fetch_add_explicit(&shim_tally->bytes_written, bytes, memory_order_relaxed);
}

static uint64_t sum_of(const atomic_ullong *first, unsigned tallies) {
    uint64_t sum = 0;
    for (unsigned index = 0; index < tallies; index++) {
        const char *place = (const char *)first + index * sizeof(struct shim_tally);
        sum += atomic_load_explicit((const atomic_ullong *)place, memory_order_relaxed);
    }
    return sum;
}

struct shim_figures shim_session_figures(struct shim_session *session, unsigned kind) {
    unsigned tallies = shim_threads(session) + 1;
    kind = kind < SHIM_KINDS ? kind : 0;
    struct shim_figures figures = {.nanoseconds = sum_of(&session->tallies->nanoseconds[kind], tallies)};
    for (unsigned bucket = 0; bucket < SHIM_BUCKETS; bucket++) {
        figures.requests[bucket] = sum_of(&session->tallies->requests[kind][bucket], tallies);
    }
    return figures;
}

uint64_t shim_session_bytes_read(struct shim_session *session) {
    return sum_of(&session->tallies->bytes_read, shim_threads(session) + 1);
}

uint64_t shim_session_bytes_written(struct shim_session *session) {
    return sum_of(&session->tallies->bytes_written, shim_threads(session) + 1);
}
