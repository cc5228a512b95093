/// FUSE over io_uring: the kernel puts each request into the queue of the processor that its caller runs on,
/// where a thread of ours waits on that very processor. No other processor need be woken for it.
///
/// The requests are the same as those that are read from the device, but in pieces: the kernel writes header
/// and operands apart from the rest. libfuse is given them as one frame, for which the few bytes of the
/// former are put directly before the latter; its replies, which it would write to the device, are put into
/// the entry that the request came in. FORGET, INTERRUPT and INIT still come from the device, to the workers.
///
/// A queue has one entry. With more the kernel could hand over requests before the first of them is answered,
/// which one thread has nothing of: 2, 4 and 8 were no faster. A request that has not been answered when it
/// has been served keeps its entry, and those behind it wait.
#include "uring.h"
#include "protocol.h"
#include "ring.h"
#include "tally.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/// Before a payload lies what the kernel writes of the entry, and behind that the frame's start.
#define ROOM_BEFORE 4096
/// What the payloads of all processors may take together once each has had as large a request as there is, in
/// bytes; with more than 64 processors they take LEAST_PAYLOAD each.
#define MOST_MEMORY (8 << 20)
/// An extended attribute must fit.
#define LEAST_PAYLOAD (128 << 10)
/// Where a yield takes so long, in ns, another had the processor, and will have it after the next as well.
#define LONG_YIELD UINT64_C(500000)
/// For how long a ring then does without yielding, in ns.
#define SHARED_TIME UINT64_C(100000000)

struct entry {
    char *payload;
    uint16_t queue;
    bool is_answered;
};

struct shim_ring {
    struct shim_session *session;
    /// Its place among the session's threads.
    unsigned thread;
    /// Where it runs.
    unsigned processor;
    struct ring ring;
    struct entry *entries;
    unsigned count;
    char *memory;
    size_t bytes;
    /// Until when somebody else is taken to want the processor.
    uint64_t shared_until;
};

/// What this thread serves, and the ring it came from.
static _Thread_local struct entry *served;
static _Thread_local struct shim_ring *serving;

static struct protocol_ring_entry *head_of(const struct entry *entry) {
    return (void *)(entry->payload - ROOM_BEFORE);
}

// Making ----------------------------------------------------------------------------------------------------

/// How many queues the kernel has: one for each processor that this machine could have. 0 where that cannot
/// be told.
static unsigned count_queues(void) {
    FILE *file = fopen("/sys/devices/system/cpu/possible", "re");
    if (file == NULL) return 0;
    unsigned count = 0, first, last;
    // Ranges and single numbers between commas.
    while (fscanf(file, "%u", &first) == 1) {
        if (fscanf(file, "-%u", &last) != 1) last = first;
        count += last - first + 1;
        if (fgetc(file) != ',') break;
    }
    fclose(file);
    return count;
}

/// Each queue is served on its own processor if we may run there, else on another.
static struct shim_ring *ring_of_queue(const struct shim_session *session, unsigned queue) {
    for (unsigned index = 0; index < session->rings; index++) {
        if (session->ring[index].processor == queue) return &session->ring[index];
    }
    return &session->ring[queue % session->rings];
}

static int make_entries(struct shim_ring *ring) {
    size_t each = ROOM_BEFORE + ring->session->largest_request;
    ring->bytes = ring->count * each;
    ring->entries = calloc(ring->count, sizeof *ring->entries);
    char *memory = mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring->entries == NULL || memory == MAP_FAILED) return ENOMEM;
    // Small requests must not take large pages.
    madvise(memory, ring->bytes, MADV_NOHUGEPAGE);
    ring->memory = memory;
    for (unsigned index = 0; index < ring->count; index++) {
        ring->entries[index].payload = memory + index * each + ROOM_BEFORE;
    }
    return 0;
}

static int make_ring(struct shim_ring *ring) {
    int failure = make_entries(ring);
    // One more for the end.
    return failure != 0 ? failure : ring_make(&ring->ring, ring->count + 1);
}

/// Finds the processors that we may run on: each has a ring.
static int plan_rings(struct shim_session *session, unsigned queues) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return errno;
    session->ring = calloc((size_t)CPU_COUNT(&allowed), sizeof *session->ring);
    if (session->ring == NULL) return ENOMEM;
    for (unsigned processor = 0; processor < queues && processor < CPU_SETSIZE; processor++) {
        if (!CPU_ISSET(processor, &allowed)) continue;
        session->ring[session->rings] = (struct shim_ring){
            .session = session,
            .thread = session->workers + session->rings,
            .processor = processor,
            .ring = {.fd = -1},
        };
        session->rings++;
    }
    return session->rings > 0 ? 0 : ENOTSUP;
}

int shim_rings_make(struct shim_session *session) {
    unsigned queues = count_queues();
    if (queues == 0 || queues > UINT16_MAX) return ENOTSUP;
    int failure = plan_rings(session, queues);
    if (failure != 0) return failure;

    // Processors that are off cost nothing until they are on.
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    while (session->largest_request > LEAST_PAYLOAD &&
           session->largest_request * (size_t)online > MOST_MEMORY) {
        session->largest_request /= 2;
    }
    for (unsigned queue = 0; queue < queues; queue++) ring_of_queue(session, queue)->count++;
    for (unsigned index = 0; failure == 0 && index < session->rings; index++) {
        failure = make_ring(&session->ring[index]);
    }
    if (failure != 0) return failure;
    // Counted again, each as it is given to its ring.
    for (unsigned index = 0; index < session->rings; index++) session->ring[index].count = 0;
    for (unsigned queue = 0; queue < queues; queue++) {
        struct shim_ring *ring = ring_of_queue(session, queue);
        ring->entries[ring->count++].queue = (uint16_t)queue;
    }
    return 0;
}

struct shim_ring *shim_ring_at(const struct shim_session *session, unsigned index) {
    return &session->ring[index];
}

void shim_rings_unmake(struct shim_session *session) {
    for (unsigned index = 0; index < session->rings; index++) {
        struct shim_ring *ring = &session->ring[index];
        ring_unmake(&ring->ring);
        if (ring->memory != NULL) munmap(ring->memory, ring->bytes);
        free(ring->entries);
    }
    free(session->ring);
}

// Replies ---------------------------------------------------------------------------------------------------

bool shim_is_on_ring(void) {
    return served != NULL;
}

ssize_t shim_ring_reply(const struct iovec *vectors, int count) {
    struct protocol_ring_entry *head = head_of(served);
    struct protocol_refusal *answer = (void *)head->header;
    size_t room = serving->session->largest_request;
    size_t length = 0;
    memcpy(answer, vectors[0].iov_base, sizeof *answer);
    for (int index = 1; index < count; index++) {
        if (vectors[index].iov_len > room - length) {
            // More than was asked for; the device would do the same.
            answer->error = -EIO;
            length = 0;
            break;
        }
        memcpy(served->payload + length, vectors[index].iov_base, vectors[index].iov_len);
        length += vectors[index].iov_len;
    }
    head->payload = (uint32_t)length;
    served->is_answered = true;
    return (ssize_t)answer->length;
}

/// Puts the command that lends `entry`, with the answer that it may hold.
static struct io_uring_sqe *put_entry(struct shim_ring *ring, struct entry *entry, uint32_t what) {
    struct io_uring_sqe *command = ring_put(&ring->ring);
    command->opcode = IORING_OP_URING_CMD;
    command->fd = fuse_session_fd(ring->session->fuse);
    command->cmd_op = what;
    command->user_data = (uint64_t)(uintptr_t)entry;
    struct protocol_ring_command *details = (void *)command->cmd;
    details->queue = entry->queue;
    if (what == PROTOCOL_RING_COMMIT) details->commit = head_of(entry)->commit;
    return command;
}

void shim_ring_flush(void) {
    put_entry(serving, served, PROTOCOL_RING_COMMIT);
    ring_enter(&serving->ring, 0);
}

// Serving ---------------------------------------------------------------------------------------------------

/// Serves the request in `entry`.
static void serve_entry(struct shim_ring *ring, struct entry *entry) {
    struct protocol_ring_entry *head = head_of(entry);
    const struct protocol_header *header = (const void *)head->header;
    size_t length = header->length;
    size_t operands = length - sizeof *header - head->payload;
    char *frame = entry->payload - operands - sizeof *header;
    memcpy(frame, header, sizeof *header);
    memcpy(frame + sizeof *header, head->operands, operands);

    struct fuse_buf buffer = {.mem = frame, .size = length};
    entry->is_answered = false;
    served = entry;
    shim_serve_frame(ring->session, &buffer, ring->thread);
    served = NULL;
    if (entry->is_answered) put_entry(ring, entry, PROTOCOL_RING_COMMIT);
}

/// Serves what has come. Returns 0, or the errno that ends the session, ENOTCONN where the connection has
/// ended: the workers know why.
static int serve_arrived(struct shim_ring *ring) {
    uint64_t tag;
    int result;
    while (ring_take(&ring->ring, &tag, &result)) {
        struct entry *entry = (void *)(uintptr_t)tag;
        // Without one it is the end that was awaited.
        if (entry == NULL) continue;
        if (result != 0) return -result;
        serve_entry(ring, entry);
    }
    return 0;
}

/// Lends the kernel all entries. From when every queue has one, requests come through rings alone. Returns 0
/// or an errno.
static int register_entries(struct shim_ring *ring) {
    int failure = 0;
    for (unsigned index = 0; failure == 0 && index < ring->count; index++) {
        struct entry *entry = &ring->entries[index];
        struct iovec parts[] = {{head_of(entry), sizeof(struct protocol_ring_entry)},
                                {entry->payload, ring->session->largest_request}};
        struct io_uring_sqe *command = put_entry(ring, entry, PROTOCOL_RING_REGISTER);
        command->addr = (uint64_t)(uintptr_t)parts;
        command->len = 2;
        failure = ring_enter(&ring->ring, 0);
    }
    // One that was refused has completed.
    return failure != 0 ? failure : serve_arrived(ring);
}

/// Asks to be told when the session is to end.
static void await_stop(struct shim_ring *ring) {
    struct io_uring_sqe *command = ring_put(&ring->ring);
    command->opcode = IORING_OP_POLL_ADD;
    command->fd = ring->session->stop_fd;
    command->poll32_events = POLLIN;
}

/// Hands over what was answered, and waits for the next request.
///
/// For a while after a request it yields instead of sleeping. Where no processor is idle the kernel lets
/// callers be where they are when they are answered; waking one on another processor costs more than most
/// requests do. Nor need this thread be woken then. But where others want the processor a thread that yields
/// waits for their whole turn, with each request, and one that is woken does not.
static int await_request(struct shim_ring *ring) {
    uint64_t spin = ring->session->spin_microseconds * UINT64_C(1000);
    uint64_t now = spin > 0 ? shim_now() : 0;
    bool yields = spin > 0 && now >= ring->shared_until;
    int failure = ring_enter(&ring->ring, yields ? 0 : 1);
    if (failure != 0 || !yields) return failure;
    uint64_t deadline = now + spin;
    while (!ring_has_any(&ring->ring)) {
        if (now >= deadline) return ring_enter(&ring->ring, 1);
        uint64_t before = now;
        sched_yield();
        now = shim_now();
        if (now - before >= LONG_YIELD) ring->shared_until = now + SHARED_TIME;
    }
    return 0;
}

/// Serves requests until the session ends. Returns as `serve_arrived` does.
static int serve_requests(struct shim_ring *ring) {
    await_stop(ring);
    int failure = 0;
    while (failure == 0 && !ring->session->stopping) {
        failure = await_request(ring);
        if (failure == EINTR || failure == EAGAIN || failure == EBUSY) failure = 0;
        if (failure == 0) failure = serve_arrived(ring);
    }
    return failure;
}

/// Counts one ring thread for `shim_session_start`.
static void note_registered(struct shim_session *session) {
    pthread_mutex_lock(&session->lock);
    session->registered++;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
}

void *shim_ring_work(void *argument) {
    struct shim_ring *ring = argument;
    struct shim_session *session = ring->session;
    serving = ring;
    cpu_set_t processor;
    CPU_ZERO(&processor);
    CPU_SET(ring->processor, &processor);
    // Elsewhere it serves as well, but later.
    sched_setaffinity(0, sizeof processor, &processor);
    // The kernel takes no entries before INIT is answered.
    if (!shim_may_go_on(session, &session->negotiated)) return NULL;
    int failure = register_entries(ring);
    if (failure == 0) {
        note_registered(session);
        failure = serve_requests(ring);
    }
    if (failure != ENOTCONN) shim_end(session, failure);
    return NULL;
}
