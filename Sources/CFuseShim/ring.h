/// An io_uring, as much of it as FUSE needs: one thread puts commands in and takes completions out.
///
/// By the system calls themselves: what is used is little, and liburing would be one more package to depend
/// on, for the build and for the program.
#ifndef DMEMFS_RING_H
#define DMEMFS_RING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    int fd;
    /// What is shared with the kernel.
    void *memory;
    size_t bytes;
    char *commands;
    size_t command_bytes;

    unsigned mask;
    /// How many commands the kernel has taken since the beginning, how many it has been told of, and how many
    /// were put.
    atomic_uint *head;
    atomic_uint *tail;
    unsigned put;

    unsigned completion_mask;
    atomic_uint *completion_head;
    atomic_uint *completion_tail;
    struct io_uring_cqe *completions;
};

/// Makes a ring for up to `commands` commands at once, each in the long form. Returns 0 or an errno; nothing
/// is left then.
int ring_make(struct ring *ring, unsigned commands);

/// The room of the next command, zeroed. No more than the ring was made for may be under way.
struct io_uring_sqe *ring_put(struct ring *ring);

/// Tells the kernel of the commands that were put, and waits until there are `completions` to take. Returns 0
/// or an errno; after EINTR, EAGAIN and EBUSY it may be called again, and goes on where it was.
int ring_enter(struct ring *ring, unsigned completions);

/// Whether there is a completion to take.
bool ring_has_any(const struct ring *ring);

/// Takes the next completion, if there is one.
bool ring_take(struct ring *ring, uint64_t *tag, int *result);

/// Ends what is under way, at some time soon.
void ring_unmake(struct ring *ring);

#endif
