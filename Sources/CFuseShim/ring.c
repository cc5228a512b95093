/// The system calls of an io_uring.
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COMMAND_BYTES (2 * sizeof(struct io_uring_sqe))

static void *map(int fd, size_t bytes, off_t offset) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
    return memory != MAP_FAILED ? memory : NULL;
}

static void find_parts(struct ring *ring, const struct io_uring_params *parameters) {
    char *memory = ring->memory;
    ring->head = (void *)(memory + parameters->sq_off.head);
    ring->tail = (void *)(memory + parameters->sq_off.tail);
    ring->mask = parameters->sq_entries - 1;
    ring->completion_head = (void *)(memory + parameters->cq_off.head);
    ring->completion_tail = (void *)(memory + parameters->cq_off.tail);
    ring->completion_mask = parameters->cq_entries - 1;
    ring->completions = (void *)(memory + parameters->cq_off.cqes);
    // Commands are used in their order.
    unsigned *order = (void *)(memory + parameters->sq_off.array);
    for (unsigned index = 0; index < parameters->sq_entries; index++) order[index] = index;
}

int ring_make(struct ring *ring, unsigned commands) {
    struct io_uring_params parameters = {
        // What a completion needs is then done whenever the thread comes back from a system call, even one
        // that only yields: IORING_SETUP_DEFER_TASKRUN would want to be asked, and was no faster.
        .flags = IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL,
    };
    *ring = (struct ring){.fd = (int)syscall(SYS_io_uring_setup, commands, &parameters)};
    if (ring->fd < 0) return errno;
    size_t order_end = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
    ring->bytes = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
    if (ring->bytes < order_end) ring->bytes = order_end;
    ring->command_bytes = parameters.sq_entries * COMMAND_BYTES;
    // Both rings are in one mapping since Linux 5.4.
    ring->memory = map(ring->fd, ring->bytes, IORING_OFF_SQ_RING);
    ring->commands = map(ring->fd, ring->command_bytes, IORING_OFF_SQES);
    if (ring->memory != NULL && ring->commands != NULL) {
        find_parts(ring, &parameters);
        return 0;
    }
    int failure = errno;
    ring_unmake(ring);
    return failure;
}

struct io_uring_sqe *ring_put(struct ring *ring) {
    struct io_uring_sqe *command = (void *)(ring->commands + (ring->put++ & ring->mask) * COMMAND_BYTES);
    memset(command, 0, COMMAND_BYTES);
    return command;
}

int ring_enter(struct ring *ring, unsigned completions) {
    atomic_store_explicit(ring->tail, ring->put, memory_order_release);
    unsigned told = ring->put - atomic_load_explicit(ring->head, memory_order_acquire);
    long result = syscall(SYS_io_uring_enter, ring->fd, told, completions, IORING_ENTER_GETEVENTS, NULL, 0);
    return result >= 0 ? 0 : errno;
}

bool ring_has_any(const struct ring *ring) {
    unsigned head = atomic_load_explicit(ring->completion_head, memory_order_relaxed);
    return head != atomic_load_explicit(ring->completion_tail, memory_order_acquire);
}

bool ring_take(struct ring *ring, uint64_t *tag, int *result) {
    if (!ring_has_any(ring)) return false;
    unsigned head = atomic_load_explicit(ring->completion_head, memory_order_relaxed);
    const struct io_uring_cqe *completion = &ring->completions[head & ring->completion_mask];
    *tag = completion->user_data;
    *result = completion->res;
    atomic_store_explicit(ring->completion_head, head + 1, memory_order_release);
    return true;
}

void ring_unmake(struct ring *ring) {
    if (ring->commands != NULL) munmap(ring->commands, ring->command_bytes);
    if (ring->memory != NULL) munmap(ring->memory, ring->bytes);
    if (ring->fd >= 0) close(ring->fd);
    *ring = (struct ring){.fd = -1};
}
