#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int linux_view_mount(const char *path, uint32_t user, uint32_t group) {
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0) return -errno;
    char options[160];
    snprintf(options, sizeof options,
             "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other", device, user,
             group);
    // A type of its own: it has no control socket, and is not to be unmounted as if it were the filesystem.
    if (mount("dmemfs", path, "fuse.dmemfs-view", MS_RDONLY | MS_NOSUID | MS_NODEV, options) == 0) {
        return device;
    }
    int error = errno;
    close(device);
    return -error;
}

int linux_view_narrow(const char *path, const char *inside) {
    char part[8192];
    if (snprintf(part, sizeof part, "%s%s", path, inside) >= (int)sizeof part) return ENAMETOOLONG;
    return mount(part, path, NULL, MS_BIND, NULL) == 0 ? 0 : errno;
}

int linux_device_minor(int file) {
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || major(status.st_dev) != 0) return -1;
    return (int)minor(status.st_dev);
}

int linux_socket_send_descriptor(int socket, int descriptor) {
    char byte = 0;
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    union {
        char bytes[CMSG_SPACE(sizeof descriptor)];
        struct cmsghdr header;
    } control = {0};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

int linux_socket_receive_descriptor(int socket) {
    char byte;
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    int descriptor;
    union {
        char bytes[CMSG_SPACE(sizeof descriptor)];
        struct cmsghdr header;
    } control = {0};
    // Of more descriptors than there is room for the kernel closes the rest.
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (count < 0) return -errno;
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    if (part == NULL || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
        part->cmsg_len != CMSG_LEN(sizeof descriptor)) {
        return count == 0 ? -ECONNRESET : -ENODATA;
    }
    memcpy(&descriptor, CMSG_DATA(part), sizeof descriptor);
    return descriptor;
}

int linux_await_either(int first, int second, int milliseconds) {
    struct pollfd waits[] = {
        {.fd = first, .events = POLLIN},
        {.fd = second, .events = POLLIN},
    };
    if (poll(waits, 2, milliseconds) <= 0) return 0;
    return (waits[0].revents != 0 ? 1 : 0) | (waits[1].revents != 0 ? 2 : 0);
}
