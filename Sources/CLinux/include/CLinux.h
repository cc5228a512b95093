/// Constants and system calls of Linux that Swift cannot import, each under a name of its own.
#ifndef DMEMFS_CLINUX_H
#define DMEMFS_CLINUX_H

// No system header but these: with _GNU_SOURCE others would differ from what Swift's Glibc module saw.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CLinuxCalls.h"
#include "CLinuxTerminal.h"
#include "CLinuxTmpfs.h"
#include "CLinuxView.h"

/// utimensat(2): set the time to the present one.
extern const long linux_utime_now;
/// utimensat(2): leave the time as it is.
extern const long linux_utime_omit;

/// Waits until the word at `address` no longer holds `expected`, or until woken. May wake without cause.
void linux_futex_wait(const uint32_t *_Nonnull address, uint32_t expected);

/// Wakes at most one thread that waits on the word at `address`.
void linux_futex_wake_one(const uint32_t *_Nonnull address);

/// A word of this thread's own, 0 when the thread starts: debug builds note in it which locks it holds, and
/// only they have it.
uint32_t *_Nonnull linux_thread_word(void);

/// What a thread has met last that a limit refused, for whoever answers the request.
struct linux_refusal {
    /// 0: nothing was refused since it was looked at last. The rest then means nothing.
    uint32_t kind;
    /// Whether the amounts are nodes, and not bytes.
    uint32_t counts_nodes;
    uint64_t level;
    int64_t asked;
    int64_t free;
    int64_t limit;
};

/// This thread's own.
struct linux_refusal *_Nonnull linux_thread_refusal(void);

/// Tells the processor that the caller spins.
static inline void linux_spin_hint(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/// Populates the pages of a private mapping for writing, in one call.
///
/// Returns 0, or the errno: ENOMEM when there is no memory for them, EINVAL on kernels before 5.14.
int linux_populate_write(void *_Nonnull address, size_t bytes);

/// The same with huge pages where the system has them free, for whole ones that nobody has touched.
int linux_populate_huge(void *_Nonnull address, size_t bytes);

/// Splits the huge page that the range is a part of, so that the part can go back to the system.
void linux_split_huge(void *_Nonnull address, size_t bytes);

/// Makes a listening unix socket at `path`, open to every user (mode 0666), close-on-exec and non-blocking.
///
/// Returns the descriptor, or the negated errno: EADDRINUSE where something is at `path`, ENAMETOOLONG where
/// `path` does not fit a socket address.
int linux_socket_listen(const char *_Nonnull path, int backlog);

/// Connects to the unix socket at `path`; reads and writes on it give EAGAIN after `timeout_seconds`.
///
/// Returns the descriptor, or the negated errno: ECONNREFUSED where nobody listens any more.
int linux_socket_connect(const char *_Nonnull path, int timeout_seconds);

/// Whether `text` is a numeric address of IPv4 or IPv6.
bool linux_tcp_is_address(const char *_Nonnull text);

/// Makes a listening TCP socket at a numeric address, close-on-exec and non-blocking; port 0 for any.
///
/// Returns it, or a negated errno, EINVAL where `text` is no address.
int linux_tcp_listen(const char *_Nonnull text, uint16_t port, int backlog);

/// The port that a TCP socket is bound to; 0 for none.
uint16_t linux_tcp_port(int socket);

/// Takes one connection from a listening socket, close-on-exec and non-blocking; or the negated errno.
int linux_socket_accept(int listener);

/// send(2) without SIGPIPE. Returns the count that was taken, or the negated errno.
long linux_socket_send(int socket, const void *_Nonnull bytes, size_t count);

/// Who is at the other end of a connected unix socket, as the kernel recorded it at connect or listen.
struct linux_peer {
    /// 0, or the errno that kept us from knowing; the other fields then mean nothing.
    int error;
    int32_t process;
    uint32_t user;
};
struct linux_peer linux_socket_peer(int socket);

/// Sends one datagram to the service manager's socket at `path`, where a leading `@` means the abstract
/// namespace.
///
/// Returns 0, or the errno.
int linux_notify(const char *_Nonnull path, const char *_Nonnull message);

/// mount(2) with MS_REMOUNT: gives the mount at `path` and its filesystem these MS_… `flags`, and no others.
///
/// Returns 0, or the errno: EBUSY where read-only is asked and a file is open for writing.
int linux_remount(const char *_Nonnull path, unsigned long flags);

/// Goes into the mount namespace that the file at `path` stands for. The process must have one thread.
///
/// Returns 0, or the errno.
int linux_enter_mount_namespace(const char *_Nonnull path);

/// What became of an attempt.
struct linux_attempt {
    /// 0, or the errno that ended it.
    int error;
    /// The signal that ended it; 0 for none.
    int signal;
};

/// Tries to mount FUSE where nobody sees it, in a mount namespace of a process of its own; and that in a user
/// namespace of its own where `in_user_namespace` is not 0. Leaves nothing. Only while this process has one
/// thread.
struct linux_attempt linux_try_fuse_mount(int in_user_namespace);

/// Sends one datagram to the unix socket at `path`; never waits.
///
/// Returns 0, or the errno: EAGAIN where its reader is slow.
int linux_send_datagram(const char *_Nonnull path, const void *_Nonnull bytes, size_t count);

/// Takes from this thread, and from those it starts from now on, every capability but CAP_SYS_ADMIN and
/// CAP_DAC_READ_SEARCH, for good: no program that they run gets one back. CAP_IPC_LOCK stays where
/// `keeping_lock` is not 0: memory that is locked when it is taken needs it.
///
/// Returns 0, or the errno.
int linux_drop_capabilities(int keeping_lock);

/// Keeps all memory of this process out of swap, what it takes later too, once it has been touched.
///
/// Returns 0, or the errno: ENOMEM or EPERM where RLIMIT_MEMLOCK does not allow as much.
int linux_lock_memory(void);

/// Asks the filesystem at `path` itself for the attributes of its root, past every cache.
///
/// Returns 0, or the errno: ENOTCONN is a FUSE mount whose daemon is gone. A plain stat(2) does not do: a
/// FUSE mount with long attribute timeouts answers it from the cache although its daemon is dead.
int linux_probe_mount(const char *_Nonnull path);

/// The number of the uppermost mount at `path`, which asks nothing of its filesystem; 0 where that cannot be
/// told. Never used twice on kernels from 6.8 on; before, a mount may have the number of one that has ended.
uint64_t linux_mount_number(const char *_Nonnull path);

/// A descriptor that poll(2) finds readable when the process ends; or the negated errno.
int linux_process_descriptor(int32_t process);

/// An event that threads wait for: readable once it was set. Returns the descriptor, or the negated errno.
int linux_event_make(void);

/// Sets the event; never waits.
void linux_event_set(int event);

/// Waits until the event is set, or the time is up where that is not negative; resets it. Returns whether it
/// was set.
int linux_event_await(int event, int milliseconds);

/// Makes the C heap of this process share a few arenas among its threads. Call it before there are threads.
void linux_bound_heap(void);

/// Makes sure that no core of this process is ever written, nor its memory read by others of the same user.
void linux_forbid_core_dumps(void);

/// From now on no memory that this thread, or one that it starts, asks for waits for input or output of other
/// memory: that could be one that this process is to answer. Nor is anything swapped out for it.
///
/// Returns 0, or the errno: EPERM without CAP_SYS_RESOURCE, EINVAL on kernels before 5.6.
int linux_reclaim_without_io(void);

/// Closes every descriptor from `first` on.
void linux_close_from(unsigned first);

/// The name of this process in ps and top; at most 15 bytes count.
void linux_set_process_name(const char *_Nonnull name);

/// Gives this process a mount namespace of its own, and with `with_user` a user namespace that owns it, in
/// which it has every capability. It must have one thread.
///
/// Returns 0, or the errno: EPERM where that is forbidden, ENOSPC where a sysctl under user. allows no more.
int linux_unshare_mounts(bool with_user);

/// Lets what is mounted in this mount namespace stay in it; what the host mounts and unmounts still shows.
int linux_keep_mounts_private(void);

/// Lets the programs that this process starts have CAP_SYS_ADMIN, or no longer. For a process that has it
/// without being root: a program started by one that is not root otherwise has no capability.
int linux_hand_down_mounting(bool on);

/// Makes this process the parent of every descendant whose own parent ends.
int linux_adopt_orphans(void);

/// Lets nothing that this process starts gain privileges by executing a file. There is no way back.
int linux_forbid_new_privileges(void);

#endif
