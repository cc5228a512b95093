/// The boundary between libfuse and Swift, and the only header through which libfuse is seen.
///
/// `shim_...` is provided in C. `shim_on_...` is provided in Swift, in the target Fuse, with
/// `@c @implementation`, one function for each kind of request. Everything that depends on libfuse's version
/// ends in this target.
///
/// Rules for every `shim_on_...`: `context` was given to `shim_session_create` and outlives the call; names
/// and payloads are valid until the request is answered; names end with a NUL and are not checked. The
/// function answers `request` exactly once, on the thread that called it. Any number of threads may call at
/// once.
#ifndef DMEMFS_CFUSESHIM_H
#define DMEMFS_CFUSESHIM_H

// Not _GNU_SOURCE: the system headers must look here as they do to Swift's Glibc module.
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

/// lseek(2): the next data, and the next hole.
extern const int32_t shim_seek_data;
extern const int32_t shim_seek_hole;

/// The largest read or write that the kernel is offered, in bytes.
#define SHIM_LARGEST_REQUEST 1048576

// The session -----------------------------------------------------------------------------------------------

/// A connection to the kernel (or, in tests, to nobody), and the threads that serve it.
struct shim_session;

struct shim_options {
    /// What the mount table shows as the source.
    const char *_Nonnull name;
    /// Mount options divided by commas; may be empty. libfuse adds nosuid and nodev unless suid or dev is
    /// here.
    const char *_Nonnull kernel_options;
    /// Whether users other than the one who mounts may use the mount.
    bool allows_others;
    /// Whether OPEN is answered; otherwise it is declined for good.
    bool answers_open;
    /// Whether files may lie behind backing files, which the kernel then uses without us. OPEN is then
    /// answered.
    bool passes_through;
    /// Whether the kernel is asked to heed POSIX ACLs. Where it cannot, the session ends with EOPNOTSUPP.
    bool acl;
    /// Whether requests come through io_uring. Where the kernel does not offer it, the session ends with
    /// EPROTONOSUPPORT.
    bool io_uring;
    /// Whether libfuse prints each request on stderr.
    bool debug;
    /// How many threads serve requests; at least 1.
    uint32_t workers;
    /// How long one thread looks for the next request before it blocks; 0 for not at all.
    uint32_t spin_microseconds;
};

/// Makes a session that is not yet mounted, or returns NULL; `shim_last_message` then says why.
struct shim_session *_Nullable shim_session_create(const struct shim_options *_Nonnull options,
                                                   void *_Nonnull context);

/// Makes the worker threads and mounts. Returns 0, or -1 and nothing is left; `shim_last_message` then says
/// why.
int shim_session_mount(struct shim_session *_Nonnull session, const char *_Nonnull mountpoint);

/// Lets the workers serve and waits until the kernel's INIT is answered and all that it asks for is there.
///
/// Returns false when the session ended before that. `shim_session_finish` must follow in either case.
bool shim_session_start(struct shim_session *_Nonnull session);

/// Waits until all threads have returned. Returns 0 for a normal end, or the errno that ended the session.
int shim_session_finish(struct shim_session *_Nonnull session);

/// Asks all threads to end after the request they are at. From any thread, at any time, even twice.
void shim_session_stop(struct shim_session *_Nonnull session);

/// How many threads serve what callers wait for: the workers, or with io_uring one for each processor.
unsigned shim_session_servers(struct shim_session *_Nonnull session);

/// A number of the server `index` that is odd while it serves a request, and grows with each.
uint32_t shim_session_beat(struct shim_session *_Nonnull session, unsigned index);

/// How many kinds of requests are told apart.
#define SHIM_KINDS 30
/// Requests are counted by how long they took: up to 2^10 ns, up to 2^11 ns, and so on, and the rest.
#define SHIM_FIRST_BUCKET 10
#define SHIM_BUCKETS 19

/// What the requests of one kind have taken since the session was made.
struct shim_figures {
    uint64_t requests[SHIM_BUCKETS];
    uint64_t nanoseconds;
};

/// The name of a kind below `SHIM_KINDS`, as libfuse has it.
const char *_Nonnull shim_kind_name(unsigned kind);

/// From any thread. Each figure is exact; together they may straddle a request.
struct shim_figures shim_session_figures(struct shim_session *_Nonnull session, unsigned kind);

/// What READ requests were answered with, in bytes.
uint64_t shim_session_bytes_read(struct shim_session *_Nonnull session);

/// What WRITE requests have stored, in bytes.
uint64_t shim_session_bytes_written(struct shim_session *_Nonnull session);

/// Counts the bytes of a request that this thread serves.
void shim_count_read(size_t bytes);
void shim_count_written(size_t bytes);

/// The most that is put aside while a session is frozen: memory in bytes, and requests.
#define SHIM_PARKED_BYTES 67108864
#define SHIM_PARKED_REQUESTS 1024

/// Puts aside every request that would change something, from now until `shim_session_thaw`, and returns when
/// those that were being served have been.
///
/// `event` is an eventfd(2) that is set when more would have to be put aside than may be: the session must
/// then be thawed soon, and a worker waits for it. Returns 0, or an errno, and nothing is frozen: ETIMEDOUT
/// where a request took longer than `milliseconds`, ENOBUFS where too many came meanwhile.
int shim_session_freeze(struct shim_session *_Nonnull session, int event, uint32_t milliseconds);

/// Serves what was put aside, on this thread and in the order in which it came. Must have returned before the
/// session ends.
void shim_session_thaw(struct shim_session *_Nonnull session);

/// Answers with EINTR what was put aside for callers that are being killed, so that they can end.
///
/// FUSE_INTERRUPT would not do: it tells of any signal, and a program that only gets SIGCHLD must not see
/// EINTR from a file; and of what comes after the first signal it does not tell at all.
void shim_session_release_dying(struct shim_session *_Nonnull session);

struct shim_parked_figures {
    uint32_t requests;
    size_t bytes;
};

/// What is put aside now.
struct shim_parked_figures shim_session_parked(struct shim_session *_Nonnull session);

/// Frees the session and closes its descriptor. A mount that is still there is left, dead, to whoever
/// unmounts it.
void shim_session_destroy(struct shim_session *_Nonnull session);

/// What libfuse said in the last call on this thread that failed: one line, without a newline; may be empty.
const char *_Nonnull shim_last_message(void);

// The loopback: libfuse without a kernel, for tests ---------------------------------------------------------

/// Connects the session to nobody: requests come from `shim_session_exchange`. Returns 0, or an errno
/// (ENOTSUP where libfuse was built without custom I/O).
int shim_session_loop_back(struct shim_session *_Nonnull session);

/// Serves one request frame on this thread and returns the length of the reply, 0 where there was none.
///
/// At least 16 writable zero bytes must follow the `count` bytes of the frame, which is changed. A reply that
/// is longer than `capacity` is cut.
size_t shim_session_exchange(struct shim_session *_Nonnull session, void *_Nonnull request, size_t count,
                             void *_Nonnull reply, size_t capacity);

// Help for replies ------------------------------------------------------------------------------------------

struct shim_caller {
    uint32_t user;
    uint32_t group;
    int32_t process;
    /// Of a request that makes a node; else 0.
    uint32_t umask;
};

/// The `context` that the request's callback was given.
void *_Nonnull shim_context_of(fuse_req_t _Nonnull request);

/// Who made the request.
struct shim_caller shim_caller_of(fuse_req_t _Nonnull request);

/// How a file was opened.
struct shim_opening {
    /// 1: data bypasses the page cache; 2: what is in the page cache stays good.
    uint32_t flags;
    /// The registered backing file that the kernel uses, 0 for none. With flag 1 only mappings use it.
    int32_t backing;
    /// What RELEASE will name; of a handle of 0 the Swift side is not told.
    uint64_t handle;
};

/// Answers OPEN. Returns 0, or a negative errno when the kernel did not take the reply.
int shim_reply_open(fuse_req_t _Nonnull request, struct shim_opening opening);

/// Answers CREATE and TMPFILE. Returns 0, or a negative errno when the kernel did not take the reply.
int shim_reply_create(fuse_req_t _Nonnull request, const struct fuse_entry_param *_Nonnull entry,
                      struct shim_opening opening);

/// The descriptor of the connection that a request came from; it outlives the request.
int shim_connection_of(fuse_req_t _Nonnull request);

/// Registers the open file `file` as one that files of this mount may lie behind; the kernel keeps it open.
/// Returns its number, above 0, or a negative errno.
int shim_register_backing(int connection, int file);

/// Ends a registration. Files that are open with it go on using it.
void shim_unregister_backing(int connection, int backing);

/// Whether this process may let a mount of its own use the open file `file` as a backing file: asks the
/// kernel with a FUSE filesystem that is mounted nowhere.
///
/// Returns 0, or an errno: EOPNOTSUPP where the kernel does not offer it, EPERM without CAP_SYS_ADMIN in the
/// initial user namespace.
int shim_probe_passthrough(int file);

/// Puts one entry of a directory into `buffer`, with (`plus`) or without attributes and a counted reference.
///
/// Returns the bytes taken, or 0 when they do not fit; the buffer is then as before. `count` is at most 255.
size_t shim_pack_entry(fuse_req_t _Nonnull request, void *_Nonnull buffer, size_t capacity,
                       const void *_Nonnull name, size_t count, uint64_t cookie,
                       const struct fuse_entry_param *_Nonnull entry, bool plus);

// Requests about names: Fuse/Callbacks+Lookup.swift and Fuse/Callbacks+Namespace.swift ----------------------

/// Serves FUSE_LOOKUP. A missing name is answered with inode 0, which the kernel remembers. "." asks for
/// `parent` itself, by an ID that the kernel may have forgotten, and ".." for the directory that it is in.
void shim_on_lookup(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t parent,
                    const char *_Nonnull name);

/// Serves FUSE_FORGET, and each element of FUSE_BATCH_FORGET. Nothing is answered.
void shim_on_forget(void *_Nonnull context, uint64_t node, uint64_t count);

/// Serves FUSE_MKNOD.
void shim_on_mknod(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t parent,
                   const char *_Nonnull name, uint32_t mode, uint64_t device);

/// Serves FUSE_MKDIR.
void shim_on_mkdir(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t parent,
                   const char *_Nonnull name, uint32_t mode);

/// Serves FUSE_SYMLINK.
void shim_on_symlink(void *_Nonnull context, fuse_req_t _Nonnull request, const char *_Nonnull target,
                     uint64_t parent, const char *_Nonnull name);

/// Serves FUSE_READLINK.
void shim_on_readlink(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node);

/// Serves FUSE_CREATE. `flags` are those of open(2).
void shim_on_create(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t parent,
                    const char *_Nonnull name, uint32_t mode, int32_t flags);

/// Serves FUSE_TMPFILE, which libfuse before 3.17 does not know: the shim then makes it look like
/// FUSE_CREATE. `flags` are those of open(2).
void shim_on_tmpfile(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t parent, uint32_t mode,
                     int32_t flags);

/// Serves FUSE_LINK.
void shim_on_link(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node, uint64_t parent,
                  const char *_Nonnull name);

/// Serves FUSE_UNLINK.
void shim_on_unlink(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t parent,
                    const char *_Nonnull name);

/// Serves FUSE_RMDIR.
void shim_on_rmdir(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t parent,
                   const char *_Nonnull name);

/// Serves FUSE_RENAME and FUSE_RENAME2. `flags` are those of renameat2(2).
void shim_on_rename(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t parent,
                    const char *_Nonnull name, uint64_t new_parent, const char *_Nonnull new_name,
                    uint32_t flags);

// Requests about attributes: Fuse/Callbacks+Attributes.swift ------------------------------------------------

/// Serves FUSE_GETATTR.
void shim_on_getattr(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node);

/// Serves FUSE_SETATTR. `changed` has the bits FUSE_SET_ATTR_... of the fields of `attributes` to set.
/// `drops_privileges` says that setuid, setgid and file capabilities must go, whatever else is asked.
void shim_on_setattr(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node,
                     const struct stat *_Nonnull attributes, int32_t changed, bool drops_privileges);

/// Serves FUSE_STATFS.
void shim_on_statfs(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node);

/// Serves FUSE_SETXATTR. `flags` are those of setxattr(2). `drops_setgid`: the value is an ACL, and who sets
/// it may not keep setgid.
void shim_on_setxattr(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node,
                      const char *_Nonnull name, const void *_Nonnull value, size_t count, int32_t flags,
                      bool drops_setgid);

/// Serves FUSE_GETXATTR. With `capacity` 0 the answer is the size of the value.
void shim_on_getxattr(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node,
                      const char *_Nonnull name, size_t capacity);

/// Serves FUSE_LISTXATTR. With `capacity` 0 the answer is the size of the list.
void shim_on_listxattr(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node, size_t capacity);

/// Serves FUSE_REMOVEXATTR.
void shim_on_removexattr(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node,
                         const char *_Nonnull name);

// Requests about data: Fuse/Callbacks+Data.swift ------------------------------------------------------------

/// Serves FUSE_OPEN, where it is answered at all. `flags` are those of open(2).
void shim_on_open(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node, int32_t flags);

/// Serves FUSE_RELEASE of a handle that stands for something. Nothing is answered.
void shim_on_release(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node, uint64_t handle);

/// Serves FUSE_READ.
void shim_on_read(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node, size_t count,
                  int64_t offset);

/// Serves FUSE_WRITE. `drops_privileges` is as in `shim_on_setattr`; libfuse itself does not hand it on.
/// `is_writeback`: the kernel writes back a page that was dirtied through a mapping, for nobody it could
/// name.
void shim_on_write(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node,
                   const void *_Nonnull bytes, size_t count, int64_t offset, bool drops_privileges,
                   bool is_writeback);

/// Serves FUSE_FALLOCATE. `mode` is that of fallocate(2).
void shim_on_fallocate(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node, int32_t mode,
                       int64_t offset, int64_t count);

/// Serves FUSE_LSEEK, which comes for SEEK_DATA and SEEK_HOLE alone.
void shim_on_lseek(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node, int64_t offset,
                   int32_t whence);

/// Serves FUSE_COPY_FILE_RANGE.
void shim_on_copy_file_range(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t source,
                             int64_t source_offset, uint64_t target, int64_t target_offset, size_t count,
                             int32_t flags);

// Requests about listings: Fuse/Callbacks+Listing.swift -----------------------------------------------------

/// Serves FUSE_READDIR, or FUSE_READDIRPLUS where `plus`. `cookie` is the last one seen, 0 at the start.
void shim_on_readdir(void *_Nonnull context, fuse_req_t _Nonnull request, uint64_t node, size_t capacity,
                     uint64_t cookie, bool plus);

#endif
