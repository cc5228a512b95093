#!/usr/bin/env python3
"""Types into an interactive bash on a terminal of its own, as a user would: `dmemfs run` is its job, stopped
with Ctrl-Z, continued with fg, and ended with Ctrl-C. Takes the program's path; prints what was on the screen
where something waited for did not appear."""

import os
import pty
import select
import signal
import sys
import time

PROGRAM = sys.argv[1]
SECONDS = 60


class Screen:
    def __init__(self):
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.environ["PS1"] = "ready> "
            # Whoever runs this may hold signals back.
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self.text = ""

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def until(self, wanted):
        """Reads until `wanted` is there, and forgets all up to it."""
        deadline = time.monotonic() + SECONDS
        while wanted not in self.text:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                sys.exit(f"waited in vain for {wanted!r}; the screen shows: {self.text!r}")
            self.text += os.read(self.terminal, 4096).decode(errors="replace")
        before, self.text = self.text.split(wanted, 1)
        return before

    def prompt(self):
        self.until("ready> ")


def start(screen, command):
    screen.prompt()
    # What the terminal echoes must not look like what the program says.
    screen.type(f"{PROGRAM} run --size 16M --report /dev/null -- sh -c '{command}'\n")


def stopped_and_continued(screen):
    start(screen, 'echo "be""gun"; while read line; do echo "got-$line"; done; exit 5')
    screen.until("begun\r\n")
    screen.type("one\n")
    screen.until("got-one\r\n")
    screen.type("\x1a")
    screen.until("Stopped")
    # The shell is in charge again, and so is the filesystem's daemon.
    screen.prompt()
    screen.type("jobs; fg\n")
    screen.until("Stopped")
    screen.until("run --size")
    screen.type("two\n")
    screen.until("got-two\r\n")
    screen.type("\x1a")
    screen.until("Stopped")
    screen.prompt()
    # In the background it may not read, and is stopped for that.
    screen.type("bg; until jobs | grep -q Stopped; do sleep 0.1; done; fg\n")
    screen.until("run --size")
    screen.type("three\n")
    screen.until("got-three\r\n")
    screen.type("\x04")
    screen.prompt()
    screen.type('echo "co""de" $?\n')
    screen.until("code 5\r\n")


def interrupted_once(screen):
    # A program that counts gets each Ctrl-C once, although the terminal sends it to us as well.
    start(screen, 'n=0; trap "n=\\$((n+1)); echo in\\$n" INT; echo "be""gun"; '
          'while [ $n -lt 3 ]; do read line; done; exit $n')
    screen.until("begun\r\n")
    for count in (1, 2, 3):
        screen.type("\x03")
        screen.until(f"in{count}\r\n")
    screen.prompt()
    screen.type('echo "co""de" $?\n')
    screen.until("code 3\r\n")


def killed_by_interrupt(screen):
    start(screen, 'echo "be""gun"; sleep 999 & wait')
    screen.until("begun\r\n")
    screen.type("\x03")
    screen.prompt()
    screen.type('echo "co""de" $?\n')
    screen.until("code 130\r\n")


def shell_in_shell(screen):
    # A shell with jobs of its own takes the terminal, and gives it back when it suspends itself.
    screen.prompt()
    screen.type(f"{PROGRAM} run --size 16M --report /dev/null -- bash --norc --noprofile -i\n")
    screen.prompt()
    screen.type("sh -c 'echo \"be\"gun; exec cat'\n")
    screen.until("begun\r\n")
    screen.type("\x1a")
    screen.until("Stopped")
    screen.prompt()
    screen.type('echo "in""side" ${DMEMFS_DIR:+0}; suspend\n')
    screen.until("inside 0\r\n")
    screen.until("Stopped")
    screen.prompt()
    screen.type('echo "out""side" ${DMEMFS_DIR:-0}; fg\n')
    screen.until("outside 0\r\n")
    screen.until("run --size")
    screen.prompt()
    screen.type("fg\n")
    screen.until("exec cat")
    screen.type("more\n")
    screen.until("more\r\nmore\r\n")
    screen.type("\x04")
    screen.prompt()
    screen.type("exit 4\n")
    screen.prompt()
    screen.type('echo "co""de" $?\n')
    screen.until("code 4\r\n")


screen = Screen()
for case in (stopped_and_continued, interrupted_once, killed_by_interrupt, shell_in_shell):
    case(screen)
    screen.type("\n")
    print(f"{case.__name__}: as it should be")
screen.prompt()
screen.type("exit\n")
os.waitpid(screen.child, 0)
