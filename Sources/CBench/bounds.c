// Not measured: FUSE. These are the parts that no server of a FUSE filesystem can do without.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "CBench.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { piece_bytes = 1 << 20, block_bytes = 256 << 10 };

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int64_t failure(void) { return -(int64_t)errno; }

// Copies ----------------------------------------------------------------------------------------------------

/// Writes a file of `count` pieces from its start.
static int64_t write_file(int directory, int64_t count, const char *buffer, bool is_reserved) {
    int fd = openat(directory, ".", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0) return failure();
    int64_t start = now(), result = 0;
    for (int64_t piece = 0; piece < count && result == 0; piece++) {
        off_t place = piece * piece_bytes;
        if (is_reserved && fallocate(fd, FALLOC_FL_KEEP_SIZE, place, piece_bytes) != 0) result = failure();
        if (result == 0 && pwrite(fd, buffer, piece_bytes, place) != piece_bytes) result = failure();
    }
    if (result == 0) result = now() - start;
    close(fd);
    return result;
}

static int64_t copy(int64_t count, const char *from, char *to) {
    int64_t start = now();
    for (int64_t piece = 0; piece < count; piece++) {
        memcpy(to, from, piece_bytes);
        // The copies are not the compiler's to leave out.
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    return now() - start;
}

/// Copies to memory that nobody has touched, populated in blocks.
static int64_t copy_to_fresh(int64_t count, const char *from) {
    size_t bytes = (size_t)count * piece_bytes;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED) return failure();
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    int64_t start = now(), result = 0;
    for (size_t done = 0; done < bytes && result == 0; done += block_bytes) {
        if (madvise(memory + done, block_bytes, MADV_POPULATE_WRITE) != 0) result = failure();
        if (result == 0) memcpy(memory + done, from, block_bytes);
    }
    if (result == 0) result = now() - start;
    munmap(memory, bytes);
    return result;
}

// Turns -----------------------------------------------------------------------------------------------------

struct echo {
    int in, out;
};

static void pin(void) {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(sched_getcpu(), &first);
    sched_setaffinity(0, sizeof first, &first);
}

static void *echo(void *argument) {
    struct echo *echo = argument;
    char byte;
    while (read(echo->in, &byte, 1) == 1 && write(echo->out, &byte, 1) == 1) {}
    return NULL;
}

/// Sends a byte to another thread and awaits it back, `count` times.
static int64_t take_turns(int64_t count, bool is_pinned) {
    int there[2], back[2];
    if (pipe(there) != 0) return failure();
    if (pipe(back) != 0) return failure();
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    if (is_pinned) pin();
    // A new thread may run where the one that starts it may.
    struct echo other = {.in = there[0], .out = back[1]};
    pthread_t thread;
    int64_t result = -pthread_create(&thread, NULL, echo, &other);
    if (result == 0) {
        char byte = 0;
        int64_t start = now();
        for (int64_t turn = 0; turn < count && result == 0; turn++) {
            if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) result = failure();
        }
        if (result == 0) result = now() - start;
        close(there[1]);
        pthread_join(thread, NULL);
    } else {
        close(there[1]);
    }
    sched_setaffinity(0, sizeof before, &before);
    close(there[0]);
    close(back[0]);
    close(back[1]);
    return result;
}

int64_t bench_bound(enum bench_part part, int directory, int64_t count) {
    char *from = malloc(2 * piece_bytes);
    if (from == NULL) return failure();
    memset(from, 1, 2 * piece_bytes);
    int64_t result = -EINVAL;
    switch (part) {
    case bench_part_write: result = write_file(directory, count, from, false); break;
    case bench_part_reserved_write: result = write_file(directory, count, from, true); break;
    case bench_part_copy: result = copy(count, from, from + piece_bytes); break;
    case bench_part_copy_to_fresh: result = copy_to_fresh(count, from); break;
    case bench_part_turn: result = take_turns(count, false); break;
    case bench_part_turn_on_one: result = take_turns(count, true); break;
    }
    free(from);
    return result;
}
