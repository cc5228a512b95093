#include "CLinux.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

int linux_renameat2(const char *from, const char *to, uint32_t flags) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

int linux_fallocate(int fd, int mode, int64_t offset, int64_t count) {
    return fallocate(fd, mode, offset, count);
}

ssize_t linux_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t count) {
    off64_t source = from_offset;
    off64_t target = to_offset;
    return copy_file_range(from, &source, to, &target, count, 0);
}

ssize_t linux_sendfile(int to, int from, int64_t offset, size_t count) {
    off_t place = offset;
    return sendfile(to, from, &place, count);
}

int linux_thread_become(uint32_t user, uint32_t group) {
    if (syscall(SYS_setgroups, 0, NULL) != 0) return -1;
    if (syscall(SYS_setresgid, group, group, group) != 0) return -1;
    return (int)syscall(SYS_setresuid, user, user, user);
}

int linux_thread_own_directory(void) {
    return unshare(CLONE_FS);
}

int linux_pidfd_open(pid_t process) {
    return (int)syscall(SYS_pidfd_open, process, 0);
}

int linux_inotify_watch(const char *path, uint32_t mask) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return -1;
    if (inotify_add_watch(fd, path, mask) < 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

const char *linux_entry_name(const struct dirent *entry) {
    return entry->d_name;
}

int linux_mount_tmpfs(const char *path, const char *options) {
    return mount("tmpfs", path, "tmpfs", 0, options);
}

int linux_umount(const char *path, int flags) {
    return umount2(path, flags);
}

int linux_probe_fuse(void) {
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) return errno;
    close(fd);
    return 0;
}
