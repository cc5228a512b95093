#!/bin/sh
# The order of locks is checked in a debug build, and a release build has nothing of it. Takes one program of
# each: what the check says when it stops a program must be in the one and not in the other.
set -eu
says="' may not be taken while '"
grep -aqF "$says" "$1" || {
    echo "ranks: $1 does not check the order of locks" >&2
    exit 1
}
if grep -aqF "$says" "$2"; then
    echo "ranks: $2 checks the order of locks, which a release must not" >&2
    exit 1
fi
echo "ranks: the order of locks is checked in the debug build, and in that only"
