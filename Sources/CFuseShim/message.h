/// What libfuse says in the calls of one thread.
#ifndef DMEMFS_MESSAGE_H
#define DMEMFS_MESSAGE_H

#include <fuse_log.h>
#include <stdarg.h>
#include <stdbool.h>

/// libfuse's log function: keeps the first line of a call that listens, and prints what is said otherwise.
void shim_hear(enum fuse_log_level level, const char *format, va_list arguments);

/// Begins to listen on this thread, or ends it: `shim_last_message` has then what was heard.
void shim_listen(bool on);

/// Says something in libfuse's place.
void shim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
