#!/usr/bin/env python3
"""Watches `dmemfs top --watch` at a terminal of 80 columns, types at it, and ends it in each way there is.
Takes the program's path and a mountpoint; says what was on the screen where something did not appear."""

import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from fcntl import ioctl

PROGRAM, PLACE = sys.argv[1:3]
SECONDS = 60
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
COVERED, UNCOVERED = "\x1b[?1049h", "\x1b[?1049l"


class Screen:
    """The program at a terminal, below a process that leads the session, as a shell does: the kernel stops
    nobody whom nobody could continue."""

    def __init__(self, rows=24):
        self.news, news = os.pipe()
        leader, self.terminal = pty.fork()
        if leader == 0:
            self.lead(news)
        os.close(news)
        self.child = self.next_news()
        self.text = ""
        self.before = self.settings()
        self.resize(rows)
        self.type("\n")
        self.until(COVERED)

    def lead(self, news):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            # The window has its size when a line comes.
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.read(0, 1)
            os.execv(PROGRAM, [PROGRAM, "top", PLACE, "--watch"])
        os.write(news, struct.pack("i", child))
        while True:
            status = os.waitpid(child, os.WUNTRACED)[1]
            os.write(news, struct.pack("i", status))
            if not os.WIFSTOPPED(status):
                # The terminal stays until nobody looks any more.
                signal.pause()

    def next_news(self):
        """The process at first, and then each time how it has stopped or ended."""
        if not select.select([self.news], [], [], SECONDS)[0]:
            sys.exit(f"it neither stopped nor ended; the screen shows: {self.text!r}")
        return struct.unpack("i", os.read(self.news, 4))[0]

    def settings(self):
        return termios.tcgetattr(self.terminal)

    def resize(self, rows):
        self.rows = rows
        ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def read(self, deadline, wanted):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
            sys.exit(f"waited in vain for {wanted!r}; the screen shows: {self.text!r}")
        self.text += os.read(self.terminal, 65536).decode()

    def until(self, wanted):
        """Reads until `wanted` is there, and forgets all up to it."""
        deadline = time.monotonic() + SECONDS
        while wanted not in self.text:
            self.read(deadline, wanted)
        before, self.text = self.text.split(wanted, 1)
        return before

    def picture(self, *wanted):
        """The lines of the next picture that shows all of `wanted`."""
        deadline = time.monotonic() + SECONDS
        while True:
            while "\x1b[J" not in self.text:
                self.read(deadline, wanted)
            drawn, self.text = self.text.split("\x1b[J", 1)
            lines = ESCAPE.sub("", drawn.rsplit("\x1b[H", 1)[-1]).split("\r\n")
            if all(any(part in line for line in lines) for part in wanted):
                check(len(lines) <= self.rows, f"{len(lines)} lines on {self.rows} rows: {lines}")
                for line in lines:
                    check(len(line) <= 80, f"{len(line)} columns: {line!r}")
                    check(line.isprintable(), f"not to be shown: {line!r}")
                return lines


def check(right, message):
    if not right:
        sys.exit(message)


def left(screen, wanted):
    """Checks that it leaves the terminal as it was, and then stops or ends as is wanted."""
    screen.until(UNCOVERED)
    status = screen.next_news()
    check(wanted(status), f"ended or stopped with {status}")
    check(screen.settings() == screen.before, "the terminal is not as it was")
    while select.select([screen.terminal], [], [], 0)[0]:
        screen.text += os.read(screen.terminal, 65536).decode()
    check(COVERED not in screen.text, "covered again after its end")


def started():
    screen = Screen()
    screen.picture("DIRECTORY")
    check(screen.settings() != screen.before, "keys are not taken one by one")
    return screen


def views(screen):
    lines = screen.picture("DIRECTORY")
    check(lines[0].startswith(f"{PLACE}: ") and "nodes" in lines[0], lines[0])
    check(lines[-1].startswith("d directories  u users  f files  a ages  q quit"), lines[-1])
    check(len(lines) == 24, f"{len(lines)} lines")
    lines = screen.picture("/long")
    long = next(line for line in lines if "…" in line)
    check(long.endswith("x") and len(long) == 80, repr(long))
    screen.type("f")
    screen.picture("FILE", "AGE", "/here")
    screen.type("U")
    screen.picture("USER", "root")
    screen.type("a")
    screen.picture("within the last minute", "before that")
    screen.type("f")
    with open(f"{PLACE}/new", "wb") as new:
        new.write(b"x" * 3_000_000)
    screen.picture("2.8 MiB", "/new")
    screen.resize(8)
    check(len(screen.picture("FILE")) <= 8, "too many lines")
    screen.type("q")
    left(screen, lambda status: status == 0)


def interrupted(screen):
    screen.type("\x03")
    left(screen, lambda status: status == signal.SIGINT)


def terminated(screen):
    os.kill(screen.child, signal.SIGTERM)
    left(screen, lambda status: status == signal.SIGTERM)


def stopped(screen):
    screen.type("\x1a")
    left(screen, os.WIFSTOPPED)
    os.kill(screen.child, signal.SIGCONT)
    screen.until(COVERED)
    screen.picture("DIRECTORY")
    screen.type("q")
    left(screen, lambda status: status == 0)


os.makedirs(f"{PLACE}/long/" + "/".join(["x" * 40] * 5))
with open(f"{PLACE}/here", "wb") as here:
    here.write(b"x" * 100_000)
with open(f"{PLACE}/steers\x1b[2J\u202eit\nall", "wb") as here:
    here.write(b"x" * 200_000)
for case in (views, interrupted, terminated, stopped):
    case(started())
    print(f"{case.__name__}: as it should be")
