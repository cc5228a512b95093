/// What libfuse says, which it has no other way to tell than a log.
#include "message.h"
#include "include/CFuseShim.h"

#include <stdio.h>
#include <string.h>

/// The first line libfuse said since the call that listens began; it is the cause, later ones are effects.
/// libfuse may say a line in pieces: it ends with a newline.
static _Thread_local char message[512];
static _Thread_local bool listening;

void shim_hear(enum fuse_log_level level, const char *format, va_list arguments) {
    (void)level;
    if (!listening) {
        vfprintf(stderr, format, arguments);
    } else if (strchr(message, '\n') == NULL) {
        size_t heard = strlen(message);
        vsnprintf(message + heard, sizeof message - heard, format, arguments);
    }
}

void shim_listen(bool on) {
    listening = on;
    if (on) {
        message[0] = 0;
    } else {
        message[strcspn(message, "\n")] = 0;
    }
}

void shim_say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
}

const char *shim_last_message(void) {
    return message;
}
