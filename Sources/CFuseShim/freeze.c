/// A freeze: what would change something is put aside, so that no worker waits with it, and served when the
/// session is thawed.
///
/// Past `SHIM_PARKED_BYTES` or `SHIM_PARKED_REQUESTS` the freeze must end: memory stays bounded, and no
/// program gets an error that it would not have had. So the worker that has one more sets the event and waits
/// until the session is thawed; that it reads nothing meanwhile is a matter of moments.
#include "freeze.h"
#include "protocol.h"
#include "session.h"
#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// How far libfuse may look behind a frame, for the end of a name.
#define ROOM_BEHIND_FRAME 16

struct shim_parked {
    struct shim_parked *next;
    size_t count;
    _Alignas(struct protocol_header) char frame[];
};

static struct protocol_header *header_of(struct shim_parked *parked) {
    return (void *)parked->frame;
}

void shim_parking_make(struct shim_parking *parking) {
    pthread_mutex_init(&parking->lock, NULL);
    pthread_cond_init(&parking->thawed, NULL);
    parking->end = &parking->first;
}

void shim_parking_destroy(struct shim_parking *parking) {
    pthread_cond_destroy(&parking->thawed);
    pthread_mutex_destroy(&parking->lock);
}

// Putting aside ---------------------------------------------------------------------------------------------

/// Whether a request may change what others see. O_TRUNC comes as SETATTR.
static bool changes(uint32_t opcode) {
    switch (opcode) {
    case PROTOCOL_SETATTR:
    case PROTOCOL_SYMLINK:
    case PROTOCOL_MKNOD:
    case PROTOCOL_MKDIR:
    case PROTOCOL_UNLINK:
    case PROTOCOL_RMDIR:
    case PROTOCOL_RENAME:
    case PROTOCOL_LINK:
    case PROTOCOL_WRITE:
    case PROTOCOL_SETXATTR:
    case PROTOCOL_REMOVEXATTR:
    case PROTOCOL_CREATE:
    case PROTOCOL_FALLOCATE:
    case PROTOCOL_RENAME2:
    case PROTOCOL_COPY_FILE_RANGE:
    case PROTOCOL_TMPFILE:
        return true;
    default:
        return false;
    }
}

/// With the lock held: waits for the end of this freeze, after having asked for it.
static void await_thaw(struct shim_parking *parking) {
    unsigned number = parking->number;
    parking->is_full = true;
    uint64_t one = 1;
    ssize_t written = write(parking->event, &one, sizeof one);
    (void)written;
    while (parking->frozen && parking->number == number) {
        pthread_cond_wait(&parking->thawed, &parking->lock);
    }
}

bool shim_park(struct shim_session *session, const struct fuse_buf *buffer) {
    const struct protocol_header *header = buffer->mem;
    struct shim_parking *parking = &session->parking;
    if (!changes(header->opcode)) return false;

    size_t bytes = sizeof(struct shim_parked) + buffer->size + ROOM_BEHIND_FRAME;
    struct shim_parked *parked = calloc(1, bytes);
    pthread_mutex_lock(&parking->lock);
    bool is_parked = parking->frozen;
    if (is_parked && (parked == NULL || parking->figures.requests >= SHIM_PARKED_REQUESTS ||
                      parking->figures.bytes + bytes > SHIM_PARKED_BYTES)) {
        await_thaw(parking);
        is_parked = false;
    }
    if (is_parked) {
        parked->count = buffer->size;
        memcpy(parked->frame, buffer->mem, buffer->size);
        *parking->end = parked;
        parking->end = &parked->next;
        parking->figures.requests++;
        parking->figures.bytes += bytes;
    }
    pthread_mutex_unlock(&parking->lock);
    if (!is_parked) free(parked);
    return is_parked;
}

struct shim_parked_figures shim_session_parked(struct shim_session *session) {
    pthread_mutex_lock(&session->parking.lock);
    struct shim_parked_figures figures = session->parking.figures;
    pthread_mutex_unlock(&session->parking.lock);
    return figures;
}

// Freezing and thawing --------------------------------------------------------------------------------------

int shim_session_freeze(struct shim_session *session, int event, uint32_t milliseconds) {
    struct shim_parking *parking = &session->parking;
    uint64_t deadline = shim_now() + milliseconds * UINT64_C(1000000);
    pthread_mutex_lock(&parking->lock);
    parking->number++;
    parking->is_full = false;
    parking->event = event;
    parking->frozen = true;
    pthread_mutex_unlock(&parking->lock);
    // A worker's beat grows before it looks at `frozen`, which is set before we look at the beat: who has not
    // seen the one is seen by the other.
    for (unsigned index = 0; index < session->workers; index++) {
        unsigned beat = session->beats[index];
        while (beat % 2 == 1 && session->beats[index] == beat) {
            if (parking->is_full || shim_now() >= deadline) {
                int failure = parking->is_full ? ENOBUFS : ETIMEDOUT;
                shim_session_thaw(session);
                return failure;
            }
            usleep(100);
        }
    }
    return 0;
}

void shim_session_thaw(struct shim_session *session) {
    struct shim_parking *parking = &session->parking;
    pthread_mutex_lock(&parking->lock);
    parking->frozen = false;
    struct shim_parked *next = parking->first;
    parking->first = NULL;
    parking->end = &parking->first;
    parking->figures = (struct shim_parked_figures){0};
    pthread_cond_broadcast(&parking->thawed);
    pthread_mutex_unlock(&parking->lock);

    if (next == NULL) return;
    while (next != NULL) {
        struct shim_parked *parked = next;
        next = parked->next;
        shim_serve_alone(session, parked->frame, parked->count);
        free(parked);
    }
    // The heap would keep it for the next freeze.
    malloc_trim(0);
}

// Callers that are killed -----------------------------------------------------------------------------------

/// Whether a thread is being killed. One that waits for us cannot end, so that its number stays its own.
///
/// SIGKILL is what the kernel leaves with each thread of a process that is to end, whatever signal did it. Of
/// a thread that is in another container, or hidden, nothing is known.
static bool is_dying(uint32_t thread) {
    char name[32], text[1024];
    snprintf(name, sizeof name, "/proc/%u/stat", thread);
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    text[count > 0 ? count : 0] = 0;
    // Behind the program's name, which may hold anything, the pending signals are the 29th word.
    const char *word = strrchr(text, ')');
    for (int skipped = 0; word != NULL && skipped < 29; skipped++) word = strchr(word + 1, ' ');
    const unsigned long long kill_signal = 1ull << 8;
    return word != NULL && (strtoull(word, NULL, 10) & kill_signal) != 0;
}

/// Takes a request out of those that are put aside; NULL where it is no longer there.
static struct shim_parked *take(struct shim_parking *parking, uint64_t unique) {
    pthread_mutex_lock(&parking->lock);
    struct shim_parked **place = &parking->first;
    while (*place != NULL && header_of(*place)->unique != unique) place = &(*place)->next;
    struct shim_parked *parked = *place;
    if (parked != NULL) {
        *place = parked->next;
        if (parking->end == &parked->next) parking->end = place;
        parking->figures.requests--;
        parking->figures.bytes -= sizeof *parked + parked->count + ROOM_BEHIND_FRAME;
    }
    pthread_mutex_unlock(&parking->lock);
    return parked;
}

void shim_session_release_dying(struct shim_session *session) {
    struct {
        uint64_t unique;
        uint32_t thread;
    } callers[SHIM_PARKED_REQUESTS];
    struct shim_parking *parking = &session->parking;
    unsigned count = 0;
    pthread_mutex_lock(&parking->lock);
    for (struct shim_parked *parked = parking->first; parked != NULL; parked = parked->next) {
        const struct protocol_header *header = header_of(parked);
        callers[count].unique = header->unique;
        callers[count++].thread = header->process;
    }
    pthread_mutex_unlock(&parking->lock);

    // Without the lock: workers must not wait for /proc.
    for (unsigned index = 0; index < count; index++) {
        if (callers[index].thread == 0 || !is_dying(callers[index].thread)) continue;
        struct shim_parked *parked = take(parking, callers[index].unique);
        if (parked == NULL) continue;
        shim_refuse(session, callers[index].unique, EINTR);
        free(parked);
    }
}
