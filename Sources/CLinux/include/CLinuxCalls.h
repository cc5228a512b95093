/// System calls and constants that mostly the tests need, where Swift's import of the C library has none.
///
/// Functions that return a signed number return -1 and set errno on failure, as the calls they stand for do.
#ifndef DMEMFS_CLINUX_CALLS_H
#define DMEMFS_CLINUX_CALLS_H

#include <stddef.h>
#include <stdint.h>

extern const int linux_o_tmpfile;
extern const int linux_o_path;
extern const int linux_o_direct;
extern const int linux_at_empty_path;
extern const int linux_seek_data;
extern const int linux_seek_hole;

extern const uint32_t linux_rename_noreplace;
extern const uint32_t linux_rename_exchange;
extern const uint32_t linux_rename_whiteout;

extern const int linux_falloc_keep_size;
extern const int linux_falloc_punch_hole;
extern const int linux_falloc_collapse_range;
extern const int linux_falloc_zero_range;
extern const int linux_falloc_insert_range;

extern const int linux_xattr_create;
extern const int linux_xattr_replace;

/// umount2(2): detach now, and finish when the last user has gone.
extern const int linux_umount_detach;

/// renameat2(2) from the working directory.
int linux_renameat2(const char *_Nonnull from, const char *_Nonnull to, uint32_t flags);

/// fallocate(2).
int linux_fallocate(int fd, int mode, int64_t offset, int64_t count);

/// copy_file_range(2) with both offsets given.
long linux_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t count);

/// sendfile(2) from `offset`, which does not move.
long linux_sendfile(int to, int from, int64_t offset, size_t count);

/// lsetxattr(2).
int linux_setxattr(
    const char *_Nonnull path, const char *_Nonnull name, const void *_Nullable value, size_t count,
    int flags);

/// lgetxattr(2).
long linux_getxattr(const char *_Nonnull path, const char *_Nonnull name, void *_Nullable room, size_t count);

/// llistxattr(2).
long linux_listxattr(const char *_Nonnull path, void *_Nullable room, size_t count);

/// lremovexattr(2).
int linux_removexattr(const char *_Nonnull path, const char *_Nonnull name);

/// Gives the calling thread, and no other, another user and group and no supplementary groups.
///
/// The C library's own functions would change every thread of the process. There is no way back: the thread
/// should end afterwards.
int linux_thread_become(uint32_t user, uint32_t group);

/// Gives the calling thread its own working directory and umask.
int linux_thread_own_directory(void);

/// pidfd_open(2): a descriptor that becomes readable when the process ends.
int linux_pidfd_open(int process);

/// A non-blocking inotify descriptor that watches `path`.
int linux_inotify_watch(const char *_Nonnull path, uint32_t mask);

/// The name in a `struct dirent`; valid as long as the entry.
const char *_Nonnull linux_entry_name(const void *_Nonnull entry);

/// Mounts a tmpfs.
int linux_mount_tmpfs(const char *_Nonnull path, const char *_Nonnull options);

/// umount2(2).
int linux_umount(const char *_Nonnull path, int flags);

/// posix_spawnp(3) of `arguments` in `directory`, in a process group of its own.
///
/// The child reads /dev/null and writes output and errors to `output`. Its environment is ours with
/// `additions` before it. Both lists end with NULL.
/// Returns 0 and the child's number, or the errno.
int linux_spawn(
    char *_Nullable const *_Nonnull arguments, char *_Nullable const *_Nonnull additions,
    const char *_Nonnull directory, int output, int *_Nonnull child);

/// posix_spawn(3) of the program at `path` with this environment, whose list ends with NULL, and with
/// nothing else of ours: no arguments, no open file but /dev/null three times, every signal as at the start,
/// in `/` and in a process group of its own.
///
/// Returns 0 and the child's number, or the errno.
int linux_spawn_apart(
    const char *_Nonnull path, char *_Nullable const *_Nonnull environment, int *_Nonnull child);

/// Opens /dev/fuse and closes it again: 0, or the errno that says why no FUSE mount is possible; ENODEV where
/// something else lies in its place.
int linux_probe_fuse(void);

#endif
