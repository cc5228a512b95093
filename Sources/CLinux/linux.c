#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
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

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

const long linux_utime_now = UTIME_NOW;
const long linux_utime_omit = UTIME_OMIT;

void linux_futex_wait(const uint32_t *address, uint32_t expected) {
    syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void linux_futex_wake_one(const uint32_t *address) {
    syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#ifdef DEBUG
uint32_t *linux_thread_word(void) {
    static _Thread_local uint32_t word;
    return &word;
}
#endif

struct linux_refusal *linux_thread_refusal(void) {
    static _Thread_local struct linux_refusal refusal;
    return &refusal;
}

int linux_populate_write(void *address, size_t bytes) {
    return madvise(address, bytes, MADV_POPULATE_WRITE) == 0 ? 0 : errno;
}

int linux_populate_huge(void *address, size_t bytes) {
    // For this one call: else the kernel would fill up what has holes with huge pages, some time later.
    madvise(address, bytes, MADV_HUGEPAGE);
    int failure = linux_populate_write(address, bytes);
    madvise(address, bytes, MADV_NOHUGEPAGE);
    return failure;
}

void linux_split_huge(void *address, size_t bytes) {
    // What is said of a part of a huge page splits it; that the part is cold does not matter: it goes.
    madvise(address, bytes, MADV_COLD);
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

/// Reads a numeric address of either family. Returns its length, 0 where it is none.
static socklen_t tcp_address(struct sockaddr_storage *address, const char *text, uint16_t port) {
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        return sizeof *six;
    }
    return 0;
}

bool linux_tcp_is_address(const char *text) {
    struct sockaddr_storage address;
    return tcp_address(&address, text, 0) != 0;
}

int linux_tcp_listen(const char *text, uint16_t port, int backlog) {
    struct sockaddr_storage address;
    socklen_t length = tcp_address(&address, text, port);
    if (length == 0) {
        return -EINVAL;
    }
    int listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) {
        return -errno;
    }
    int on = 1;
    // What the last daemon has answered may still be on its way.
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, backlog) != 0) {
        return close_failed(listener);
    }
    return listener;
}

uint16_t linux_tcp_port(int socket) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(socket, (struct sockaddr *)&address, &length) != 0) {
        return 0;
    }
    // The port is at the same place in both families.
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
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

/// Sends one datagram by a socket of its own, whose type has these flags. `@` begins an abstract name.
static int send_datagram(const char *path, const void *bytes, size_t count, int flags) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, path);
    if (length == 0) {
        return ENAMETOOLONG;
    }
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0);
    if (datagrams < 0) {
        return errno;
    }
    ssize_t sent = sendto(datagrams, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    int error = sent >= 0 ? 0 : errno;
    close(datagrams);
    return error;
}

int linux_notify(const char *path, const char *message) {
    return send_datagram(path, message, strlen(message), 0);
}

int linux_send_datagram(const char *path, const void *bytes, size_t count) {
    return send_datagram(path, bytes, count, SOCK_NONBLOCK);
}

int linux_drop_capabilities(int keeping_lock) {
    const uint32_t kept = 1U << CAP_SYS_ADMIN | 1U << CAP_DAC_READ_SEARCH |
                          (keeping_lock ? 1U << CAP_IPC_LOCK : 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) != 0) {
        return errno;
    }
    // Fails without CAP_SETPCAP, and where there is no such capability: no_new_privs stands behind it.
    for (unsigned capability = 0; capability < 64; capability++) {
        if (capability >= 32 || (kept >> capability & 1) == 0) {
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    sets[0].permitted &= kept;
    sets[0].effective = sets[0].permitted;
    sets[1].permitted = sets[1].effective = 0;
    sets[0].inheritable = sets[1].inheritable = 0;
    return syscall(SYS_capset, &header, sets) == 0 ? 0 : errno;
}

int linux_lock_memory(void) {
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    // Only root may; what it is now decides for others.
    setrlimit(RLIMIT_MEMLOCK, &all);
    return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 ? 0 : errno;
}

int linux_remount(const char *path, unsigned long flags) {
    return mount(NULL, path, NULL, MS_REMOUNT | flags, NULL) == 0 ? 0 : errno;
}

int linux_enter_mount_namespace(const char *path) {
    int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0) {
        return errno;
    }
    int error = setns(space, CLONE_NEWNS) == 0 ? 0 : errno;
    close(space);
    return error;
}

int linux_probe_mount(const char *path) {
    struct statx attributes;
    int flags = AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    return statx(AT_FDCWD, path, flags, STATX_BASIC_STATS, &attributes) == 0 ? 0 : errno;
}

uint64_t linux_mount_number(const char *path) {
    struct statx found;
    int flags = AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    unsigned wanted = STATX_MNT_ID | STATX_MNT_ID_UNIQUE;
    if (statx(AT_FDCWD, path, flags, wanted, &found) != 0 || (found.stx_mask & wanted) == 0) {
        return 0;
    }
    return found.stx_mnt_id;
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

int linux_reclaim_without_io(void) {
    return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 ? 0 : errno;
}

void linux_close_from(unsigned first) { close_range(first, ~0U, 0); }

void linux_set_process_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int linux_unshare_mounts(bool with_user) {
    return unshare(CLONE_NEWNS | (with_user ? CLONE_NEWUSER : 0)) == 0 ? 0 : errno;
}

int linux_keep_mounts_private(void) {
    return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 ? 0 : errno;
}

int linux_hand_down_mounting(bool on) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) != 0) return errno;
    const uint32_t mounting = 1U << CAP_SYS_ADMIN;
    sets[0].inheritable = on ? sets[0].inheritable | mounting : sets[0].inheritable & ~mounting;
    // Taking it from the inheritable set takes it from the ambient set as well.
    if (syscall(SYS_capset, &header, sets) != 0) return errno;
    if (on && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) != 0) return errno;
    return 0;
}

int linux_adopt_orphans(void) {
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? 0 : errno;
}

int linux_forbid_new_privileges(void) {
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno;
}
