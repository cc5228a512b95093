#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

// By their published numbers: the headers of the oldest system that this is built on lack some.
enum {
    fsopen_cloexec = 1,
    fsconfig_string = 1,
    fsconfig_create = 6,
    fsconfig_reconfigure = 7,
    fsmount_cloexec = 1,
    fspick_cloexec = 1,
    fspick_empty_path = 8,
    attribute_nosuid = 2,
    attribute_nodev = 4,
    attribute_noatime = 0x10,
};

static int configure(int context, const char *name, const char *value) {
    return syscall(SYS_fsconfig, context, fsconfig_string, name, value, 0) == 0 ? 0 : -errno;
}

static int set_size(int context, int64_t bytes) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)bytes);
    return configure(context, "size", text);
}

static int command(int context, int what) {
    return syscall(SYS_fsconfig, context, what, NULL, NULL, 0) == 0 ? 0 : -errno;
}

int linux_tmpfs_make(int64_t bytes, const char *huge) {
    int context = (int)syscall(SYS_fsopen, "tmpfs", fsopen_cloexec);
    if (context < 0) return -errno;
    int result = set_size(context, bytes);
    if (result == 0) result = configure(context, "nr_inodes", "0");
    // A kernel without huge pages does not know the option.
    if (result == 0 && configure(context, "huge", huge) != 0) result = 0;
    if (result == 0) result = command(context, fsconfig_create);
    if (result == 0) {
        int attributes = attribute_nosuid | attribute_nodev | attribute_noatime;
        result = (int)syscall(SYS_fsmount, context, fsmount_cloexec, attributes);
        if (result < 0) result = -errno;
    }
    close(context);
    return result;
}

int linux_tmpfs_resize(int root, int64_t bytes) {
    // A context of its own each time: after a refusal the kernel takes nothing more on the same one.
    int context = (int)syscall(SYS_fspick, root, "", fspick_cloexec | fspick_empty_path);
    if (context < 0) return -errno;
    int result = set_size(context, bytes);
    if (result == 0) result = command(context, fsconfig_reconfigure);
    close(context);
    return result;
}

int64_t linux_lift_file_limits(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    // Past a limit that root could not lift, a write fails instead of ending the process.
    signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_max;
}

int linux_take_read_lease(int file) {
    return fcntl(file, F_SETLEASE, F_RDLCK) == 0 ? 0 : -errno;
}

int linux_store_mapped(int file, int64_t offset) {
    int64_t start = offset & ~(int64_t)4095;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, start);
    if (page == MAP_FAILED) return -errno;
    page[offset - start] = 1;
    munmap(page, 4096);
    return 0;
}

int64_t linux_tmpfs_used(int root) {
    struct statfs status;
    if (fstatfs(root, &status) != 0) return -errno;
    return (int64_t)(status.f_blocks - status.f_bfree) * status.f_bsize;
}

int64_t linux_pages_there(int file, int64_t offset, int64_t count) {
    struct {
        uint64_t offset;
        uint64_t count;
    } range = {(uint64_t)offset, (uint64_t)count};
    struct {
        uint64_t cached;
        uint64_t dirty;
        uint64_t writeback;
        /// Of a tmpfs: those that lie in swap space.
        uint64_t evicted;
        uint64_t recently_evicted;
    } found;
    if (syscall(SYS_cachestat, file, &range, &found, 0) != 0) return -errno;
    return (int64_t)(found.cached + found.evicted);
}

static int report(int result, const struct stat *status, struct linux_file *file) {
    if (result != 0) return -errno;
    *file = (struct linux_file){
        .size = status->st_size,
        .bytes = (int64_t)status->st_blocks * 512,
        .modified_seconds = status->st_mtim.tv_sec,
        .modified_nanoseconds = status->st_mtim.tv_nsec,
        .changed_seconds = status->st_ctim.tv_sec,
        .changed_nanoseconds = status->st_ctim.tv_nsec,
    };
    return 0;
}

int linux_file_status(int file, struct linux_file *status) {
    struct stat found;
    return report(fstat(file, &found), &found, status);
}

int linux_file_status_at(int root, const char *name, struct linux_file *status) {
    struct stat found;
    return report(fstatat(root, name, &found, 0), &found, status);
}
