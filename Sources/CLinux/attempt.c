/// Attempts that a child makes, so that they change nothing here.
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/// Writes `text` to a file of /proc. Returns 0 or the errno.
static int put(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) {
        return errno;
    }
    size_t length = strlen(text);
    int error = write(file, text, length) == (ssize_t)length ? 0 : errno;
    close(file);
    return error;
}

/// Goes into new namespaces, in which this user keeps his number.
static int enter_namespaces(int with_user) {
    char map[64];
    unsigned user = geteuid();
    unsigned group = getegid();
    int error = linux_unshare_mounts(with_user);
    if (error != 0 || !with_user) {
        return error;
    }
    error = put("/proc/self/setgroups", "deny");
    if (error != 0) {
        return error;
    }
    snprintf(map, sizeof map, "%u %u 1", user, user);
    error = put("/proc/self/uid_map", map);
    if (error != 0) {
        return error;
    }
    snprintf(map, sizeof map, "%u %u 1", group, group);
    return put("/proc/self/gid_map", map);
}

static int mount_fuse(int with_user) {
    char options[96];
    int error = enter_namespaces(with_user);
    if (error != 0) {
        return error;
    }
    // So that what follows stays in here.
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return errno;
    }
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0) {
        return errno;
    }
    snprintf(
        options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u", device, geteuid(),
        getegid());
    return mount("dmemfs", "/", "fuse", MS_NOSUID | MS_NODEV, options) == 0 ? 0 : errno;
}

struct linux_attempt linux_try_fuse_mount(int in_user_namespace) {
    pid_t child = fork();
    if (child < 0) {
        return (struct linux_attempt){.error = errno};
    }
    if (child == 0) {
        // Every errno that can come fits an exit status.
        _exit(mount_fuse(in_user_namespace));
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return (struct linux_attempt){.error = errno};
        }
    }
    if (WIFSIGNALED(status)) {
        return (struct linux_attempt){.error = EPERM, .signal = WTERMSIG(status)};
    }
    return (struct linux_attempt){.error = WEXITSTATUS(status)};
}
