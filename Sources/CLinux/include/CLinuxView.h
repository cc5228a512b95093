/// What a second, read-only mount of a filesystem needs, which its user makes and another process serves.
#ifndef DMEMFS_CLINUX_VIEW_H
#define DMEMFS_CLINUX_VIEW_H

#include <stdint.h>

/// Opens /dev/fuse and mounts it read-only on `path`, on top of what is there, owned by `user` and `group`.
/// Nobody serves it yet: who looks into it waits.
///
/// Returns the descriptor, or the negated errno.
int linux_view_mount(const char *_Nonnull path, uint32_t user, uint32_t group);

/// Shows the directory `inside` of the view on `path` in its place. Returns 0, or the errno.
int linux_view_narrow(const char *_Nonnull path, const char *_Nonnull inside);

/// The minor number of the device that a filesystem without a disk has, where `file` is a regular file in
/// one; else -1.
int linux_device_minor(int file);

/// Sends one byte, and with it the descriptor. Returns 0, or the errno.
int linux_socket_send_descriptor(int socket, int descriptor);

/// Takes what was sent, and the descriptor that came with it, close-on-exec.
///
/// Returns it, or a negated errno: ENODATA where there came none, ECONNRESET at the end.
int linux_socket_receive_descriptor(int socket);

/// Waits until the first descriptor is readable (1), the second is (2), both (3) or the time is up (0). One
/// that is negative never is; the end of a connection is something to read. Negative time is no limit.
int linux_await_either(int first, int second, int milliseconds);

#endif
