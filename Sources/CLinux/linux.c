#include "CLinux.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

int linux_populate_write(void *address, size_t bytes) {
    return madvise(address, bytes, MADV_POPULATE_WRITE) == 0 ? 0 : errno;
}
