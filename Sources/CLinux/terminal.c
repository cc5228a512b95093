/// What a program needs that draws on a terminal and must leave it as it was.
#include "CLinuxTerminal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct linux_terminal_size linux_terminal_size(int descriptor) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return (struct linux_terminal_size){0};
    return (struct linux_terminal_size){.columns = size.ws_col, .rows = size.ws_row};
}

int linux_signals_hold(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t index = 0; index < count; index++) sigaddset(&set, signals[index]);
    int failure = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (failure != 0) return -failure;
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return descriptor < 0 ? -errno : descriptor;
}

int linux_signals_next(int descriptor) {
    struct signalfd_siginfo information;
    ssize_t taken = read(descriptor, &information, sizeof information);
    return taken == (ssize_t)sizeof information ? (int)information.ssi_signo : 0;
}

void linux_signal_suffer(int signal) {
    struct sigaction by_default = {.sa_handler = SIG_DFL}, before;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigaction(signal, &by_default, &before);
    raise(signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    // It is here only after SIGCONT.
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigaction(signal, &before, NULL);
}
