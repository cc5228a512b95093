#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

const long linux_utime_now = UTIME_NOW;
const long linux_utime_omit = UTIME_OMIT;

void linux_futex_wait(const uint32_t *address, uint32_t expected) {
    syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void linux_futex_wake_one(const uint32_t *address) {
    syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

uint32_t *linux_thread_word(void) {
    static _Thread_local uint32_t word;
    return &word;
}

int linux_populate_write(void *address, size_t bytes) {
    return madvise(address, bytes, MADV_POPULATE_WRITE) == 0 ? 0 : errno;
}

/// Fills in the address of `path`; returns its length, or 0 where `path` is too long.
static socklen_t unix_address(struct sockaddr_un *address, const char *path) {
    size_t length = strlen(path);
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length == 0 || length >= sizeof address->sun_path) {
        return 0;
    }
    memcpy(address->sun_path, path, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/// Closes `descriptor` and returns the negated errno of the call before.
static int close_failed(int descriptor) {
    int error = errno;
    close(descriptor);
    return -error;
}

int linux_socket_listen(const char *path, int backlog) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, path);
    if (length == 0) {
        return -ENAMETOOLONG;
    }
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) {
        return -errno;
    }
    if (bind(listener, (struct sockaddr *)&address, length) != 0) {
        return close_failed(listener);
    }
    // Before listen(2): nobody can connect until both are done.
    if (chmod(path, 0666) != 0 || listen(listener, backlog) != 0) {
        int result = close_failed(listener);
        unlink(path);
        return result;
    }
    return listener;
}

int linux_socket_connect(const char *path, int timeout_seconds) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, path);
    if (length == 0) {
        return -ENAMETOOLONG;
    }
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) {
        return -errno;
    }
    struct timeval limit = {.tv_sec = timeout_seconds};
    if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        connect(connection, (struct sockaddr *)&address, length) != 0) {
        return close_failed(connection);
    }
    return connection;
}

int linux_socket_accept(int listener) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return connection >= 0 ? connection : -errno;
}

long linux_socket_send(int socket, const void *bytes, size_t count) {
    ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL);
    return sent >= 0 ? sent : -errno;
}

struct linux_peer linux_socket_peer(int socket) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
        return (struct linux_peer){.error = errno};
    }
    return (struct linux_peer){.process = credentials.pid, .user = credentials.uid};
}

int linux_notify(const char *path, const char *message) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, path);
    if (length == 0) {
        return ENAMETOOLONG;
    }
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (datagrams < 0) {
        return errno;
    }
    ssize_t sent =
        sendto(datagrams, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    int error = sent >= 0 ? 0 : errno;
    close(datagrams);
    return error;
}

int linux_probe_mount(const char *path) {
    struct statx attributes;
    int flags = AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    return statx(AT_FDCWD, path, flags, STATX_BASIC_STATS, &attributes) == 0 ? 0 : errno;
}

int linux_process_descriptor(int32_t process) {
    long descriptor = syscall(SYS_pidfd_open, process, 0);
    return descriptor >= 0 ? (int)descriptor : -errno;
}

int linux_event_make(void) {
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return event < 0 ? -errno : event;
}

void linux_event_set(int event) {
    eventfd_write(event, 1);
}

int linux_event_await(int event, int milliseconds) {
    struct pollfd wait = {.fd = event, .events = POLLIN};
    eventfd_t count;
    return poll(&wait, 1, milliseconds) > 0 && eventfd_read(event, &count) == 0;
}

void linux_bound_heap(void) {
    // Each arena takes 64 MiB of address space, and keeps what was freed in it to itself.
    mallopt(M_ARENA_MAX, 2);
}

void linux_forbid_core_dumps(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void linux_close_from(unsigned first) { close_range(first, ~0U, 0); }

void linux_set_process_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
