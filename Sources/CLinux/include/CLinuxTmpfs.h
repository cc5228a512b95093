/// What a private tmpfs needs: one that is mounted nowhere, so that nobody but its owner finds it.
///
/// Functions return 0 or a count, or the negated errno.
#ifndef DMEMFS_CLINUX_TMPFS_H
#define DMEMFS_CLINUX_TMPFS_H

#include <stddef.h>
#include <stdint.h>

/// Makes a tmpfs of `bytes` bytes, without a limit of inodes, and returns a descriptor of its root.
///
/// `huge` is tmpfs's option of that name. Needs CAP_SYS_ADMIN over the mount namespace.
int linux_tmpfs_make(int64_t bytes, const char *_Nonnull huge);

/// Changes what a tmpfs may hold: whole pages, above 0. -EINVAL where it holds more.
int linux_tmpfs_resize(int root, int64_t bytes);

/// Lets this process have as many descriptors, and write as large files, as it may. Returns how many
/// descriptors that are.
int64_t linux_lift_file_limits(void);

/// What a tmpfs holds, in bytes: what its files take, whoever wrote it.
int64_t linux_tmpfs_used(int root);

/// How many pages of a file of a tmpfs are there, out of those of the range, which begins and ends with a
/// page: written, mapped or only allocated, behind the end of the file too. Needs a kernel of 6.5.
int64_t linux_pages_there(int file, int64_t offset, int64_t count);

/// Takes a lease for reading on an open file. -EAGAIN where somebody has the file open for writing.
int linux_take_read_lease(int file);

/// Stores a byte into a file at `offset` through a shared mapping. The file must reach so far.
int linux_store_mapped(int file, int64_t offset);

/// What there is of a file.
struct linux_file {
    int64_t size;
    /// Memory that it takes, in bytes.
    int64_t bytes;
    int64_t modified_seconds;
    int64_t modified_nanoseconds;
    int64_t changed_seconds;
    int64_t changed_nanoseconds;
};

/// Looks at an open file.
int linux_file_status(int file, struct linux_file *_Nonnull status);

/// Looks at the file `name` of the directory `root`.
int linux_file_status_at(int root, const char *_Nonnull name, struct linux_file *_Nonnull status);

#endif
