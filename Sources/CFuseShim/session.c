/// A session: creation, mount, and the threads that serve it.
#include "session.h"
#include "message.h"
#include "protocol.h"
#include "tally.h"
#include "uring.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_log.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

// Creation --------------------------------------------------------------------------------------------------

static struct fuse_session *create_fuse_session(struct shim_session *session,
                                                const struct shim_options *options) {
    struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
    char *list = NULL;
    char name[256];
    struct fuse_session *fuse = NULL;

    snprintf(name, sizeof name, "fsname=%s", options->name);
    bool listed = fuse_opt_add_opt(&list, "default_permissions,subtype=dmemfs") == 0 &&
                  fuse_opt_add_opt_escaped(&list, name) == 0 &&
                  (!options->allows_others || fuse_opt_add_opt(&list, "allow_other") == 0) &&
                  (!options->debug || fuse_opt_add_opt(&list, "debug") == 0) &&
                  (options->kernel_options[0] == 0 || fuse_opt_add_opt(&list, options->kernel_options) == 0);
    if (listed && fuse_opt_add_arg(&arguments, "dmemfs") == 0 && fuse_opt_add_arg(&arguments, "-o") == 0 &&
        fuse_opt_add_arg(&arguments, list) == 0) {
        fuse = fuse_session_new(&arguments, &shim_operations, sizeof shim_operations, session);
    }
    free(list);
    fuse_opt_free_args(&arguments);
    return fuse;
}

static struct shim_tally *make_tallies(unsigned count) {
    size_t bytes = count * sizeof(struct shim_tally);
    struct shim_tally *tallies = aligned_alloc(_Alignof(struct shim_tally), bytes);
    if (tallies != NULL) memset(tallies, 0, bytes);
    return tallies;
}

unsigned shim_threads(const struct shim_session *session) {
    return session->workers + session->rings;
}

/// Makes what each thread has of its own. Returns whether it could; `shim_last_message` may say why not.
static bool make_places(struct shim_session *session, bool uses_rings) {
    int failure = uses_rings ? shim_rings_make(session) : 0;
    if (failure != 0) {
        shim_say("cannot make an io_uring (%s): let this process make one (a container's seccomp profile may "
                 "forbid it), or leave io_uring out",
                 strerror(failure));
        return false;
    }
    session->threads = calloc(shim_threads(session), sizeof *session->threads);
    session->beats = calloc(shim_threads(session) + 1, sizeof *session->beats);
    session->tallies = make_tallies(shim_threads(session) + 1);
    return session->threads != NULL && session->beats != NULL && session->tallies != NULL;
}

struct shim_session *shim_session_create(const struct shim_options *options, void *context) {
    struct shim_session *session = calloc(1, sizeof *session);
    if (session == NULL) return NULL;
    session->context = context;
    session->workers = options->workers > 0 ? options->workers : 1;
    session->spin_microseconds = options->spin_microseconds;
    session->answers_open = options->answers_open || options->passes_through;
    session->passes_through = options->passes_through;
    session->acl = options->acl;
    session->largest_request = SHIM_LARGEST_REQUEST;
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->changed, NULL);
    shim_parking_make(&session->parking);
    session->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    fuse_set_log_func(shim_hear);
    shim_listen(true);
    if (make_places(session, options->io_uring) && session->stop_fd >= 0) {
        session->fuse = create_fuse_session(session, options);
    }
    shim_listen(false);
    if (session->fuse != NULL) return session;

    shim_session_destroy(session);
    return NULL;
}

void shim_session_destroy(struct shim_session *session) {
    if (session->started > 0) {
        // It was mounted and never served.
        shim_session_stop(session);
        shim_session_finish(session);
    }
    shim_rings_unmake(session);
    if (session->fuse != NULL) {
        struct pollfd connection = {.fd = fuse_session_fd(session->fuse), .events = POLLIN};
        bool is_gone =
            connection.fd >= 0 && poll(&connection, 1, 0) == 1 && (connection.revents & POLLERR) != 0;
        // libfuse then frees what it remembers of the mount. A live mount it would look up by path, and
        // perhaps unmount another one that has been put there since.
        if (is_gone) fuse_session_unmount(session->fuse);
        fuse_session_destroy(session->fuse);
    }
    if (session->stop_fd >= 0) close(session->stop_fd);
    shim_parking_destroy(&session->parking);
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->lock);
    free(session->threads);
    free(session->beats);
    free(session->tallies);
    free(session);
}

// The workers -----------------------------------------------------------------------------------------------

void shim_refuse(struct shim_session *session, uint64_t unique, int error) {
    struct protocol_refusal refusal = {.length = sizeof refusal, .error = -error, .unique = unique};
    struct iovec vector = {&refusal, sizeof refusal};
    // It fails where nobody waits for the answer any more.
    ssize_t written = shim_is_on_ring() ? shim_ring_reply(&vector, 1)
                                        : writev(fuse_session_fd(session->fuse), &vector, 1);
    (void)written;
}

#ifdef DEBUG
/// Ends the program where one of its own threads made the request: with all workers at such requests, they
/// would wait for each other for ever.
static void forbid_own_request(struct shim_session *session, const struct fuse_buf *buffer) {
    const struct protocol_header *header = buffer->mem;
    // Who mounts makes INIT; a test may send any number.
    if (header->opcode == PROTOCOL_INIT || shim_mailbox != NULL || header->process == 0) return;
    if (syscall(SYS_tgkill, getpid(), header->process, 0) != 0) return;
    // The thread that waits for the answer could not be ended before it has one.
    shim_refuse(session, header->unique, EDEADLK);
    if (shim_is_on_ring()) shim_ring_flush();
    fprintf(stderr, "dmemfs: thread %u of the daemon itself used the mount (opcode %u)\n", header->process,
            header->opcode);
    abort();
}
#endif

/// Has libfuse serve a frame. Returns when it was served.
static uint64_t serve(struct shim_session *session, const struct fuse_buf *buffer) {
#ifdef DEBUG
    forbid_own_request(session, buffer);
#endif
    // Before it is changed.
    unsigned kind = shim_kind_of(buffer);
    uint64_t began = shim_now();
    shim_examine(session, buffer->mem, buffer->size);
    bool is_init = shim_frame.is_init;
    fuse_session_process_buf(session->fuse, buffer);
    uint64_t ended = shim_now();
    shim_count(shim_tally, kind, ended - began);
    if (!is_init || fuse_session_exited(session->fuse)) return ended;
    pthread_mutex_lock(&session->lock);
    session->negotiated = true;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    return ended;
}

uint64_t shim_serve_frame(struct shim_session *session, const struct fuse_buf *buffer, unsigned thread) {
    shim_tally = &session->tallies[thread];
    atomic_uint *beat = &session->beats[thread];
    // In this order for all to see, as `shim_session_freeze` says. Where nothing is frozen it costs a load.
    atomic_fetch_add(beat, 1);
    bool is_parked = session->parking.frozen && shim_park(session, buffer);
    uint64_t served = is_parked ? shim_now() : serve(session, buffer);
    atomic_fetch_add(beat, 1);
    return served;
}

void shim_serve_alone(struct shim_session *session, void *frame, size_t count) {
    struct fuse_buf buffer = {.mem = frame, .size = count};
    shim_tally = &session->tallies[shim_threads(session)];
    serve(session, &buffer);
}

/// Makes a descriptor that waits for a request, waking one thread for each, and for the end, waking all.
static int create_waiter(struct shim_session *session) {
    int waiter = epoll_create1(EPOLL_CLOEXEC);
    if (waiter < 0) return -1;
    struct epoll_event request = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    struct epoll_event stop = {.events = EPOLLIN};
    if (epoll_ctl(waiter, EPOLL_CTL_ADD, fuse_session_fd(session->fuse), &request) == 0 &&
        epoll_ctl(waiter, EPOLL_CTL_ADD, session->stop_fd, &stop) == 0) {
        return waiter;
    }
    close(waiter);
    return -1;
}

/// Serves requests until the session ends. Returns 0, or the errno that ended it.
///
/// After a request one thread, and one alone, goes on asking for a while before it blocks: waking a thread
/// costs more than most requests do. Further spinners would only take the processor from the callers.
static int serve_requests(struct shim_session *session, int waiter, struct fuse_buf *buffer) {
    unsigned index = atomic_fetch_add(&session->beating, 1);
    bool is_spinner = false;
    uint64_t deadline = 0;
    int result = 0;
    while (!session->stopping) {
        int received = fuse_session_receive_buf(session->fuse, buffer);
        if (received == -EINTR) continue;
        if (received == -EAGAIN) {
            if (is_spinner && shim_now() < deadline) {
                // On a busy machine the caller we wait for may need this very processor.
                sched_yield();
                continue;
            }
            if (is_spinner) session->spinning = is_spinner = false;
            struct epoll_event event;
            epoll_wait(waiter, &event, 1, -1);
            continue;
        }
        if (received <= 0) {
            result = -received;
            break;
        }
        if (is_spinner) session->spinning = is_spinner = false;
        uint64_t served = shim_serve_frame(session, buffer, index);
        if (session->spin_microseconds > 0 && !atomic_exchange(&session->spinning, true)) {
            is_spinner = true;
            deadline = served + session->spin_microseconds * UINT64_C(1000);
        }
    }
    if (is_spinner) session->spinning = false;
    return result;
}

bool shim_may_go_on(struct shim_session *session, const bool *condition) {
    pthread_mutex_lock(&session->lock);
    while (!*condition && !session->stopping) pthread_cond_wait(&session->changed, &session->lock);
    bool goes_on = *condition;
    pthread_mutex_unlock(&session->lock);
    return goes_on;
}

void shim_end(struct shim_session *session, int failure) {
    pthread_mutex_lock(&session->lock);
    if (session->failure == 0) session->failure = failure;
    pthread_mutex_unlock(&session->lock);
    // One that ends ends all.
    shim_session_stop(session);
}

static void *work(void *argument) {
    struct shim_session *session = argument;
    if (!shim_may_go_on(session, &session->begun)) return NULL;
    struct fuse_buf buffer = {0};
    int waiter = create_waiter(session);
    int result = waiter >= 0 ? serve_requests(session, waiter, &buffer) : errno;
    if (waiter >= 0) close(waiter);
    free(buffer.mem);
    shim_end(session, result);
    return NULL;
}

/// Starts all threads, which wait until they may begin. Returns 0 or an errno.
static int start_threads(struct shim_session *session) {
    pthread_attr_t attributes;
    int failure = pthread_attr_init(&attributes);
    if (failure != 0) return failure;
    pthread_attr_setstacksize(&attributes, SHIM_STACK_BYTES);
    // Signals are the business of the thread that started us.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (failure == 0 && session->started < shim_threads(session)) {
        pthread_t *thread = &session->threads[session->started];
        bool is_worker = session->started < session->workers;
        failure = is_worker ? pthread_create(thread, &attributes, work, session)
                            : pthread_create(thread, &attributes, shim_ring_work,
                                             shim_ring_at(session, session->started - session->workers));
        if (failure != 0) break;
        pthread_setname_np(*thread, is_worker ? "dmemfs-fuse" : "dmemfs-ring");
        session->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failure;
}

static int mount_session(struct shim_session *session, const char *mountpoint) {
    shim_listen(true);
    int result = fuse_session_mount(session->fuse, mountpoint);
    shim_listen(false);
    if (result != 0) return -1;

    int fd = fuse_session_fd(session->fuse);
    // The workers look for requests without blocking, and wait for them in epoll, where they can be woken.
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    // From 3.17 on only mounts with other IDs and io_uring depend on it, and libfuse may be built without it.
    shim_listen(true);
    bool is_hooked = shim_install_hooks(session, fd) == 0;
    shim_listen(false);
    return is_hooked || (session->rings == 0 && FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)) ? 0 : -1;
}

int shim_session_mount(struct shim_session *session, const char *mountpoint) {
    // Before the mount: one that nobody can serve must not be seen.
    int failure = start_threads(session);
    if (failure != 0) {
        shim_say("cannot start %u threads: %s", shim_threads(session),
                 strerror(failure));
    } else if (mount_session(session, mountpoint) == 0) {
        return 0;
    }
    shim_session_stop(session);
    shim_session_finish(session);
    return -1;
}

bool shim_session_start(struct shim_session *session) {
    pthread_mutex_lock(&session->lock);
    session->begun = true;
    pthread_cond_broadcast(&session->changed);
    while (!(session->negotiated && session->registered == session->rings) && !session->stopping) {
        pthread_cond_wait(&session->changed, &session->lock);
    }
    bool is_usable = session->negotiated && session->registered == session->rings;
    pthread_mutex_unlock(&session->lock);
    return is_usable;
}

int shim_session_finish(struct shim_session *session) {
    while (session->started > 0) pthread_join(session->threads[--session->started], NULL);
    return session->failure;
}

unsigned shim_session_servers(struct shim_session *session) {
    return session->rings > 0 ? session->rings : session->workers;
}

uint32_t shim_session_beat(struct shim_session *session, unsigned index) {
    if (index >= shim_session_servers(session)) return 0;
    unsigned first = session->rings > 0 ? session->workers : 0;
    return atomic_load_explicit(&session->beats[first + index], memory_order_relaxed);
}

void shim_session_stop(struct shim_session *session) {
    pthread_mutex_lock(&session->lock);
    session->stopping = true;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    uint64_t one = 1;
    // It fails only when the counter is full, and then it is readable as well.
    ssize_t written = write(session->stop_fd, &one, sizeof one);
    (void)written;
}

// The loopback ----------------------------------------------------------------------------------------------

int shim_session_loop_back(struct shim_session *session) {
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) return errno;
    int result = shim_install_hooks(session, fd);
    if (result != 0) close(fd);
    return -result;
}

size_t shim_session_exchange(struct shim_session *session, void *request, size_t count, void *reply,
                             size_t capacity) {
    struct shim_mailbox mailbox = {.bytes = reply, .capacity = capacity};
    shim_mailbox = &mailbox;
    shim_serve_alone(session, request, count);
    shim_mailbox = NULL;
    return mailbox.count;
}
