// Not measured: names are put together by hand and buffers are made before the first call, as both would
// count for more than some of the calls.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "CBench.h"

enum { files_per_folder = 200, jobs_limit = 64 };
static const char large_name[] = "large";

struct job {
    enum bench_work work;
    int directory;
    int number;
    int64_t count;
    int64_t bytes;
    char *buffer;
    int error;
};

// Names -----------------------------------------------------------------------------------------------------

static char *put_number(char *end, int64_t number, int digits) {
    for (int place = digits - 1; place >= 0; place--, number /= 10) end[place] = (char)('0' + number % 10);
    return end + digits;
}

/// "JJ-FFFFFF", and behind it "/KNNN" where `kind` is not 0.
static const char *name_of(char *name, const struct job *job, int64_t file, char kind) {
    char *end = put_number(name, job->number, 2);
    *end++ = '-';
    end = put_number(end, file / files_per_folder, 6);
    if (kind != 0) {
        *end++ = '/';
        *end++ = kind;
        end = put_number(end, file % files_per_folder, 3);
    }
    *end = 0;
    return name;
}

enum { name_bytes = 32 };

// Small files -----------------------------------------------------------------------------------------------

/// What read(2) and its like return, as an errno: a short count is an error too.
static int whole(ssize_t done, int64_t bytes) { return done < 0 ? errno : done != bytes ? EIO : 0; }

static int failed(int result) { return result < 0 ? errno : 0; }

static int make_folders(struct job *job) {
    char name[name_bytes];
    int error = 0;
    for (int64_t file = 0; file < job->count && error == 0; file += files_per_folder)
        error = failed(mkdirat(job->directory, name_of(name, job, file, 0), 0755));
    return error;
}

static int remove_folders(struct job *job) {
    char name[name_bytes];
    int error = 0;
    for (int64_t file = 0; file < job->count && error == 0; file += files_per_folder)
        error = failed(unlinkat(job->directory, name_of(name, job, file, 0), AT_REMOVEDIR));
    return error;
}

static int create(struct job *job) {
    char name[name_bytes];
    int error = 0;
    for (int64_t file = 0; file < job->count && error == 0; file++) {
        int fd = openat(job->directory, name_of(name, job, file, 'f'), O_CREAT | O_EXCL | O_WRONLY, 0644);
        if (fd < 0) return errno;
        error = whole(write(fd, job->buffer, (size_t)job->bytes), job->bytes);
        close(fd);
    }
    return error;
}

static int open_and_read(struct job *job) {
    char name[name_bytes];
    int error = 0;
    for (int64_t file = 0; file < job->count && error == 0; file++) {
        int fd = openat(job->directory, name_of(name, job, file, 'f'), O_RDONLY);
        if (fd < 0) return errno;
        error = whole(read(fd, job->buffer, (size_t)job->bytes), job->bytes);
        close(fd);
    }
    return error;
}

static int stat_files(struct job *job) {
    char name[name_bytes];
    struct stat found;
    int error = 0;
    for (int64_t file = 0; file < job->count && error == 0; file++)
        error = failed(fstatat(job->directory, name_of(name, job, file, 'f'), &found, 0));
    return error;
}

static int stat_absent(struct job *job) {
    char name[name_bytes];
    struct stat found;
    for (int64_t file = 0; file < job->count; file++) {
        if (fstatat(job->directory, name_of(name, job, file, 'x'), &found, 0) == 0) return EEXIST;
        if (errno != ENOENT) return errno;
    }
    return 0;
}

static int unlink_files(struct job *job) {
    char name[name_bytes];
    int error = 0;
    for (int64_t file = 0; file < job->count && error == 0; file++)
        error = failed(unlinkat(job->directory, name_of(name, job, file, 'f'), 0));
    return error;
}

// The large file --------------------------------------------------------------------------------------------

/// Runs `body` with the large file open.
static int with_large(struct job *job, int flags, int (*body)(struct job *job, int fd)) {
    int fd = openat(job->directory, large_name, flags, 0644);
    if (fd < 0) return errno;
    int error = body(job, fd);
    close(fd);
    return error;
}

static int write_pieces(struct job *job, int fd) {
    int error = 0;
    for (int64_t piece = 0; piece < job->count && error == 0; piece++)
        error = whole(pwrite(fd, job->buffer, (size_t)job->bytes, piece * job->bytes), job->bytes);
    return error;
}

static int read_pieces(struct job *job, int fd) {
    int error = 0;
    for (int64_t piece = 0; piece < job->count && error == 0; piece++)
        error = whole(pread(fd, job->buffer, (size_t)job->bytes, piece * job->bytes), job->bytes);
    return error;
}

/// The offset of a piece that a linear congruential generator picks; the same row in every run.
static int64_t random_offset(uint64_t *state, int64_t pieces, int64_t bytes) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*state >> 33) % (uint64_t)pieces) * bytes;
}

static int read_random_pieces(struct job *job, int fd) {
    int64_t pieces = lseek(fd, 0, SEEK_END) / job->bytes;
    uint64_t state = (uint64_t)job->number + 1;
    int error = pieces > 0 ? 0 : EINVAL;
    for (int64_t piece = 0; piece < job->count && error == 0; piece++)
        error = whole(pread(fd, job->buffer, (size_t)job->bytes, random_offset(&state, pieces, job->bytes)),
                      job->bytes);
    return error;
}

static int write_random_pieces(struct job *job, int fd) {
    int64_t pieces = lseek(fd, 0, SEEK_END) / job->bytes;
    uint64_t state = (uint64_t)job->number + 1;
    int error = pieces > 0 ? 0 : EINVAL;
    for (int64_t piece = 0; piece < job->count && error == 0; piece++)
        error = whole(pwrite(fd, job->buffer, (size_t)job->bytes, random_offset(&state, pieces, job->bytes)),
                      job->bytes);
    return error;
}

static int evict(struct job *job, int fd) {
    (void)job;
    return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int write_large(struct job *job) { return with_large(job, O_CREAT | O_WRONLY, write_pieces); }
static int read_large(struct job *job) { return with_large(job, O_RDONLY, read_pieces); }
static int read_randomly(struct job *job) { return with_large(job, O_RDONLY, read_random_pieces); }
static int write_randomly(struct job *job) { return with_large(job, O_WRONLY, write_random_pieces); }
static int evict_large(struct job *job) { return with_large(job, O_RDONLY, evict); }
static int remove_large(struct job *job) { return failed(unlinkat(job->directory, large_name, 0)); }

// Running ---------------------------------------------------------------------------------------------------

static int (*const works[])(struct job *job) = {
    [bench_make_folders] = make_folders,
    [bench_create] = create,
    [bench_stat] = stat_files,
    [bench_open_and_read] = open_and_read,
    [bench_stat_absent] = stat_absent,
    [bench_unlink] = unlink_files,
    [bench_remove_folders] = remove_folders,
    [bench_write_large] = write_large,
    [bench_read_large] = read_large,
    [bench_read_randomly] = read_randomly,
    [bench_write_randomly] = write_randomly,
    [bench_evict_large] = evict_large,
    [bench_remove_large] = remove_large,
};

static void *run_job(void *argument) {
    struct job *job = argument;
    job->error = works[job->work](job);
    return NULL;
}

static int run_all(struct job *jobs, int count) {
    pthread_t threads[jobs_limit];
    int started = 0;
    int error = 0;
    // The first job runs on this thread.
    for (int number = 1; number < count && error == 0; number++) {
        error = pthread_create(&threads[number], NULL, run_job, &jobs[number]);
        if (error == 0) started++;
    }
    run_job(&jobs[0]);
    for (int number = 1; number <= started; number++) pthread_join(threads[number], NULL);
    for (int number = 0; number < count && error == 0; number++) error = jobs[number].error;
    return error;
}

int bench_run(enum bench_work work, int directory, int jobs, int64_t count, int64_t bytes) {
    if (jobs < 1 || jobs > jobs_limit || count < 0 || bytes < 0) return EINVAL;
    struct job all[jobs_limit];
    int error = 0;
    for (int number = 0; number < jobs; number++) {
        char *buffer = malloc((size_t)bytes + 1);
        if (buffer != NULL) memset(buffer, 'a' + number % 26, (size_t)bytes + 1);
        if (buffer == NULL) error = ENOMEM;
        all[number] = (struct job){work, directory, number, count, bytes, buffer, 0};
    }
    if (error == 0) error = run_all(all, jobs);
    for (int number = 0; number < jobs; number++) free(all[number].buffer);
    return error;
}
