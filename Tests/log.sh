#!/bin/sh
# Where a daemon logs that has left its terminal, in a mount namespace of its own:
#   unshare -m Tests/log.sh PROGRAM EMPTY-FOLDER
set -eu
program=$1 place=$2

fail() {
    echo "wrong: $*" >&2
    cat "$place/heard" >&2
    exit 1
}
listen() {
    mkfifo "$place/started"
    python3 "$place/hear.py" "$1" "$place/heard" >"$place/started" &
    ear=$!
    read -r word <"$place/started"
    rm "$place/started"
}
# Waits until this was heard.
await() {
    tries=0
    until grep -q -e "$1" "$place/heard"; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || fail "never heard: $1"
        sleep 0.1
    done
}
ear=
trap '[ -z "$ear" ] || kill "$ear"; umount -l "$place/m" 2>/dev/null || true' EXIT
mount -t tmpfs tmpfs "$place"
mount -t tmpfs tmpfs /run
mkdir -p "$place/m" /run/systemd/journal

# Hears datagrams on a socket until it is told to end, and writes each with a line of dashes behind it.
cat >"$place/hear.py" <<'END'
import socket, sys
heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
heard.bind(sys.argv[1])
with open(sys.argv[2], "wb", 0) as out:
    print("ready", flush=True)
    while True:
        out.write(heard.recv(1 << 16) + b"\n--\n")
END

# The journal: fields, not lines.
listen /run/systemd/journal/socket
"$program" mount --size 8M --max-nodes 5 "$place/m" >/dev/null
await "^DMEMFS_EVENT=mounted"
await "^MESSAGE_ID=1135522b8c60494ba148753b871877fc"
await "^SYSLOG_IDENTIFIER=dmemfs"
await "^DMEMFS_MOUNT=$place/m"
! dd if=/dev/zero of="$place/m/x" bs=1M count=20 2>/dev/null || fail "20 MiB in 8"
await "^MESSAGE=$place/m is full: 7.* MiB of 8 MiB used, 2 of 5 nodes; refused .*(dd) of user 0: no space"
await "^DMEMFS_COMM=dd"
# Once a minute for each cause, whatever is refused.
for name in 1 2 3 4 5 6 7 8; do touch "$place/m/$name" 2>/dev/null || true; done
! dd if=/dev/zero of="$place/m/x" bs=1M count=20 2>/dev/null || fail "20 MiB in 8 again"
await "^DMEMFS_CAUSE=nodes"
"$program" resize "$place/m" 16M >/dev/null
await "^DMEMFS_EVENT=resized"
for cause in bytes nodes; do
    [ "$(grep -c "^DMEMFS_CAUSE=$cause" "$place/heard")" = 1 ] || fail "told again within a minute of $cause"
done
await "^DMEMFS_THRESHOLD="
"$program" umount "$place/m"
await "^DMEMFS_EVENT=unmounted"
kill "$ear"
ear=
rm /run/systemd/journal/socket

# Syslog where there is no journal.
mkdir "$place/dev"
cp -a /dev/fuse /dev/null "$place/dev"
mount --bind "$place/dev" /dev
listen /dev/log
"$program" mount --size 8M "$place/m" >/dev/null
await "^<30>dmemfs\[[0-9]*\]: $place/m: limit 8 MiB"
"$program" umount "$place/m"
kill "$ear"
ear=
rm /dev/log

# Neither: it works all the same.
"$program" mount --size 8M "$place/m" >/dev/null
"$program" umount "$place/m"
