/// Constants and system calls of Linux that Swift cannot import, each under a name of its own.
#ifndef DMEMFS_CLINUX_H
#define DMEMFS_CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "CLinuxCalls.h"

/// utimensat(2): set the time to the present one.
static const long linux_utime_now = UTIME_NOW;
/// utimensat(2): leave the time as it is.
static const long linux_utime_omit = UTIME_OMIT;

/// Waits until the word at `address` no longer holds `expected`, or until woken. May wake without cause.
void linux_futex_wait(const uint32_t *_Nonnull address, uint32_t expected);

/// Wakes at most one thread that waits on the word at `address`.
void linux_futex_wake_one(const uint32_t *_Nonnull address);

/// Populates the pages of a private mapping for writing, in one call.
///
/// Returns 0, or the errno: ENOMEM when there is no memory for them, EINVAL on kernels before 5.14.
int linux_populate_write(void *_Nonnull address, size_t bytes);

#endif
