#include "CLinux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

const int linux_o_tmpfile = O_TMPFILE;
const int linux_o_path = O_PATH;
const int linux_o_direct = O_DIRECT;
const int linux_at_empty_path = AT_EMPTY_PATH;
const int linux_seek_data = SEEK_DATA;
const int linux_seek_hole = SEEK_HOLE;
const uint32_t linux_rename_noreplace = 1;
const uint32_t linux_rename_exchange = 2;
const uint32_t linux_rename_whiteout = 4;
const int linux_falloc_keep_size = 1;
const int linux_falloc_punch_hole = 2;
const int linux_falloc_collapse_range = 8;
const int linux_falloc_zero_range = 16;
const int linux_falloc_insert_range = 32;
const int linux_xattr_create = XATTR_CREATE;
const int linux_xattr_replace = XATTR_REPLACE;
const int linux_umount_detach = 2;

int linux_renameat2(const char *from, const char *to, uint32_t flags) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

int linux_fallocate(int fd, int mode, int64_t offset, int64_t count) {
    return fallocate(fd, mode, offset, count);
}

long linux_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t count) {
    off64_t source = from_offset;
    off64_t target = to_offset;
    return copy_file_range(from, &source, to, &target, count, 0);
}

long linux_sendfile(int to, int from, int64_t offset, size_t count) {
    off_t place = offset;
    return sendfile(to, from, &place, count);
}

int linux_setxattr(const char *path, const char *name, const void *value, size_t count, int flags) {
    return lsetxattr(path, name, value, count, flags);
}

long linux_getxattr(const char *path, const char *name, void *room, size_t count) {
    return lgetxattr(path, name, room, count);
}

long linux_listxattr(const char *path, void *room, size_t count) {
    return llistxattr(path, room, count);
}

int linux_removexattr(const char *path, const char *name) {
    return lremovexattr(path, name);
}

int linux_thread_become(uint32_t user, uint32_t group) {
    if (syscall(SYS_setgroups, 0, NULL) != 0) return -1;
    if (syscall(SYS_setresgid, group, group, group) != 0) return -1;
    return (int)syscall(SYS_setresuid, user, user, user);
}

int linux_thread_own_directory(void) {
    return unshare(CLONE_FS);
}

int linux_pidfd_open(int process) {
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

const char *linux_entry_name(const void *entry) {
    return ((const struct dirent *)entry)->d_name;
}

int linux_mount_tmpfs(const char *path, const char *options) {
    return mount("tmpfs", path, "tmpfs", 0, options);
}

int linux_umount(const char *path, int flags) {
    return umount2(path, flags);
}

static size_t length_of(char *const *list) {
    size_t length = 0;
    while (list[length] != NULL) length++;
    return length;
}

int linux_spawn(
    char *const *arguments, char *const *additions, const char *directory, int output, int *child) {
    size_t added = length_of(additions);
    size_t inherited = length_of(environ);
    char **environment = calloc(added + inherited + 1, sizeof(char *));
    if (environment == NULL) return ENOMEM;
    for (size_t i = 0; i < added; i++) environment[i] = additions[i];
    for (size_t i = 0; i < inherited; i++) environment[added + i] = environ[i];

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, output, 2);
    posix_spawn_file_actions_addchdir_np(&actions, directory);
    // Threads of the test runner block signals that a child must be able to get.
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    int code = posix_spawnp(child, arguments[0], &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return code;
}

int linux_spawn_apart(const char *path, char *const *environment, int *child) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int stream = 0; stream <= 2; stream++) {
        posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawn_file_actions_addchdir_np(&actions, "/");
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char *const arguments[] = {(char *)path, NULL};
    int code = posix_spawn(child, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

int linux_probe_fuse(void) {
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) return errno;
    struct stat status;
    int failure = fstat(fd, &status) == 0 ? 0 : errno;
    // Another device in its place, as a container may bind one there, opens as well.
    if (failure == 0 && (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(10, 229))) failure = ENODEV;
    close(fd);
    return failure;
}
