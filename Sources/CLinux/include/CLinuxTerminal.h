/// The terminal of a program that draws on it, and the signals that must not end it before that is put right.
#ifndef DMEMFS_CLINUX_TERMINAL_H
#define DMEMFS_CLINUX_TERMINAL_H

#include <stddef.h>
#include <stdint.h>

struct linux_terminal_size {
    /// Both 0 for what is no terminal, or one that does not know.
    int32_t columns;
    int32_t rows;
};
struct linux_terminal_size linux_terminal_size(int descriptor);

/// Holds these `count` signals back from this thread. Returns a descriptor that is readable when one of them
/// has come, or the negated errno.
int linux_signals_hold(const int *_Nonnull signals, size_t count);

/// The next of the signals that have come for the descriptor; 0 for none. Never waits.
int linux_signals_next(int descriptor);

/// Lets `signal`, which is held back, do what it does by default: end this process, or stop it and return
/// when it is continued. It is held back again then.
void linux_signal_suffer(int signal);

#endif
