/// The one table of operations. Each entry hands its request to the Swift function of the same name.
///
/// What is missing is answered by libfuse, in the way we want: RELEASEDIR with success; FLUSH, FSYNC,
/// FSYNCDIR, ACCESS, POLL, IOCTL and the locks with ENOSYS, which the kernel remembers and then does without
/// us.
#include "session.h"
#include "protocol.h"

const int32_t shim_seek_data = SEEK_DATA;
const int32_t shim_seek_hole = SEEK_HOLE;

#include <errno.h>
#include <string.h>

static struct shim_session *session_of(fuse_req_t request) {
    return fuse_req_userdata(request);
}

static void *context_of(fuse_req_t request) {
    return session_of(request)->context;
}

void *shim_context_of(fuse_req_t request) {
    return context_of(request);
}

/// Whether `count` bytes from `start` on are part of the frame that is served.
static bool in_frame(const void *start, size_t count) {
    const char *first = start;
    return first <= shim_frame.end && count <= (size_t)(shim_frame.end - first);
}

static void forward_init(void *session, struct fuse_conn_info *connection) {
    shim_negotiate(session, connection);
}

static void forward_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    shim_on_lookup(context_of(request), request, parent, name);
}

static void forward_forget(fuse_req_t request, fuse_ino_t node, uint64_t count) {
    shim_on_forget(context_of(request), node, count);
    fuse_reply_none(request);
}

static void forward_forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgets) {
    void *context = context_of(request);
    if (in_frame(forgets, count * sizeof *forgets)) {
        for (size_t index = 0; index < count; index++) {
            shim_on_forget(context, forgets[index].ino, forgets[index].nlookup);
        }
    }
    fuse_reply_none(request);
}

static void forward_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
    (void)info;
    shim_on_getattr(context_of(request), request, node);
}

static void forward_setattr(fuse_req_t request, fuse_ino_t node, struct stat *attributes, int changed,
                            struct fuse_file_info *info) {
    (void)info;
    shim_on_setattr(context_of(request), request, node, attributes, changed, shim_frame.drops_privileges);
}

static void forward_readlink(fuse_req_t request, fuse_ino_t node) {
    shim_on_readlink(context_of(request), request, node);
}

static void forward_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                          dev_t device) {
    shim_on_mknod(context_of(request), request, parent, name, mode, device);
}

static void forward_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
    shim_on_mkdir(context_of(request), request, parent, name, mode);
}

static void forward_unlink(fuse_req_t request, fuse_ino_t parent, const char *name) {
    shim_on_unlink(context_of(request), request, parent, name);
}

static void forward_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name) {
    shim_on_rmdir(context_of(request), request, parent, name);
}

static void forward_symlink(fuse_req_t request, const char *target, fuse_ino_t parent, const char *name) {
    shim_on_symlink(context_of(request), request, target, parent, name);
}

static void forward_rename(fuse_req_t request, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                           const char *new_name, unsigned flags) {
    shim_on_rename(context_of(request), request, parent, name, new_parent, new_name, flags);
}

static void forward_link(fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char *name) {
    shim_on_link(context_of(request), request, node, parent, name);
}

static void forward_open(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
    if (session_of(request)->declines_open) {
        fuse_reply_err(request, ENOSYS);
    } else {
        shim_on_open(context_of(request), request, node, info->flags);
    }
}

static void forward_release(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
    // A handle of 0 stands for nothing.
    if (info->fh != 0) shim_on_release(context_of(request), request, node, info->fh);
    fuse_reply_err(request, 0);
}

static void forward_opendir(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
    (void)node;
    if (session_of(request)->declines_opendir) {
        fuse_reply_err(request, ENOSYS);
    } else {
        info->cache_readdir = 1;
        info->keep_cache = 1;
        fuse_reply_open(request, info);
    }
}

static void forward_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                           struct fuse_file_info *info) {
    if (strcmp(name, "/") == 0) {
        shim_on_tmpfile(context_of(request), request, parent, mode, info->flags);
    } else {
        shim_on_create(context_of(request), request, parent, name, mode, info->flags);
    }
}

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
static void forward_tmpfile(fuse_req_t request, fuse_ino_t parent, mode_t mode, struct fuse_file_info *info) {
    shim_on_tmpfile(context_of(request), request, parent, mode, info->flags);
}
#endif

static void forward_read(fuse_req_t request, fuse_ino_t node, size_t count, off_t offset,
                         struct fuse_file_info *info) {
    (void)info;
    shim_on_read(context_of(request), request, node, count, offset);
}

static void forward_write(fuse_req_t request, fuse_ino_t node, const char *bytes, size_t count, off_t offset,
                          struct fuse_file_info *info) {
    if (!in_frame(bytes, count)) {
        fuse_reply_err(request, EIO);
        return;
    }
    shim_on_write(context_of(request), request, node, bytes, count, offset, shim_frame.drops_privileges,
                  info->writepage);
}

static void forward_readdir(fuse_req_t request, fuse_ino_t node, size_t capacity, off_t cookie,
                            struct fuse_file_info *info) {
    (void)info;
    shim_on_readdir(context_of(request), request, node, capacity, (uint64_t)cookie, false);
}

static void forward_readdirplus(fuse_req_t request, fuse_ino_t node, size_t capacity, off_t cookie,
                                struct fuse_file_info *info) {
    (void)info;
    shim_on_readdir(context_of(request), request, node, capacity, (uint64_t)cookie, true);
}

static void forward_statfs(fuse_req_t request, fuse_ino_t node) {
    shim_on_statfs(context_of(request), request, node);
}

static void forward_setxattr(fuse_req_t request, fuse_ino_t node, const char *name, const char *value,
                             size_t count, int flags) {
#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)
    // libfuse 3.13 and 3.14.0 look for the name behind the long form, whichever was negotiated.
    name = shim_frame.xattr_name;
    value = name + strlen(name) + 1;
#endif
    if (!in_frame(value, count)) {
        fuse_reply_err(request, EIO);
        return;
    }
    shim_on_setxattr(context_of(request), request, node, name, value, count, flags, shim_frame.drops_setgid);
}

static void forward_getxattr(fuse_req_t request, fuse_ino_t node, const char *name, size_t capacity) {
    shim_on_getxattr(context_of(request), request, node, name, capacity);
}

static void forward_listxattr(fuse_req_t request, fuse_ino_t node, size_t capacity) {
    shim_on_listxattr(context_of(request), request, node, capacity);
}

static void forward_removexattr(fuse_req_t request, fuse_ino_t node, const char *name) {
    shim_on_removexattr(context_of(request), request, node, name);
}

static void forward_fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t count,
                              struct fuse_file_info *info) {
    (void)info;
    shim_on_fallocate(context_of(request), request, node, mode, offset, count);
}

static void forward_lseek(fuse_req_t request, fuse_ino_t node, off_t offset, int whence,
                          struct fuse_file_info *info) {
    (void)info;
    shim_on_lseek(context_of(request), request, node, offset, whence);
}

static void forward_copy_file_range(fuse_req_t request, fuse_ino_t source, off_t source_offset,
                                    struct fuse_file_info *source_info, fuse_ino_t target,
                                    off_t target_offset, struct fuse_file_info *target_info, size_t count,
                                    int flags) {
    (void)source_info;
    (void)target_info;
    shim_on_copy_file_range(context_of(request), request, source, source_offset, target, target_offset, count,
                            flags);
}

struct shim_caller shim_caller_of(fuse_req_t request) {
    const struct fuse_ctx *caller = fuse_req_ctx(request);
    return (struct shim_caller){
        .user = caller->uid, .group = caller->gid, .process = caller->pid, .umask = caller->umask};
}

size_t shim_pack_entry(fuse_req_t request, void *buffer, size_t capacity, const void *name, size_t count,
                       uint64_t cookie, const struct fuse_entry_param *entry, bool plus) {
    // libfuse wants a NUL behind the name, and the directory keeps none.
    char terminated[256];
    memcpy(terminated, name, count);
    terminated[count] = 0;
    off_t position = (off_t)cookie;
    size_t size = plus ? fuse_add_direntry_plus(request, buffer, capacity, terminated, entry, position)
                       : fuse_add_direntry(request, buffer, capacity, terminated, &entry->attr, position);
    return size <= capacity ? size : 0;
}

const struct fuse_lowlevel_ops shim_operations = {
    .init = forward_init,
    .lookup = forward_lookup,
    .forget = forward_forget,
    .forget_multi = forward_forget_multi,
    .getattr = forward_getattr,
    .setattr = forward_setattr,
    .readlink = forward_readlink,
    .mknod = forward_mknod,
    .mkdir = forward_mkdir,
    .unlink = forward_unlink,
    .rmdir = forward_rmdir,
    .symlink = forward_symlink,
    .rename = forward_rename,
    .link = forward_link,
    .open = forward_open,
    .release = forward_release,
    .opendir = forward_opendir,
    .create = forward_create,
    .read = forward_read,
    .write = forward_write,
    .readdir = forward_readdir,
    .readdirplus = forward_readdirplus,
    .statfs = forward_statfs,
    .setxattr = forward_setxattr,
    .getxattr = forward_getxattr,
    .listxattr = forward_listxattr,
    .removexattr = forward_removexattr,
    .fallocate = forward_fallocate,
    .lseek = forward_lseek,
    .copy_file_range = forward_copy_file_range,
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
    .tmpfile = forward_tmpfile,
#endif
};
