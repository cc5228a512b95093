/// Constants and system calls of Linux that Swift cannot import, each under a name of its own.
#ifndef DMEMFS_CLINUX_H
#define DMEMFS_CLINUX_H

// No system header but these two: with _GNU_SOURCE others would differ from what Swift's Glibc module saw.
#include <stddef.h>
#include <stdint.h>

#include "CLinuxCalls.h"

/// utimensat(2): set the time to the present one.
extern const long linux_utime_now;
/// utimensat(2): leave the time as it is.
extern const long linux_utime_omit;

/// Waits until the word at `address` no longer holds `expected`, or until woken. May wake without cause.
void linux_futex_wait(const uint32_t *_Nonnull address, uint32_t expected);

/// Wakes at most one thread that waits on the word at `address`.
void linux_futex_wake_one(const uint32_t *_Nonnull address);

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

#endif
