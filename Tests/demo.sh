#!/bin/sh
# A mount of 64 MiB from its first byte to its last: what `make demo` shows. Takes the program's path.
set -eu

dmemfs=$(realpath "${1:-.build/release/dmemfs}")
place=$(mktemp -d)
cleanup() {
    status=$?
    trap - EXIT
    # Quiet: after a good run there is nothing left to unmount.
    "$dmemfs" umount --lazy "$place" 2>/dev/null || true
    rmdir "$place" 2>/dev/null || true
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n--- %s\n' "$*"; }
used() { "$dmemfs" status --json "$place" | sed -n 's/.*"used_bytes" : \([0-9]*\).*/\1/p'; }
fail() {
    echo "demo failed: $*" >&2
    exit 1
}

say "mount 64 MiB on $place"
"$dmemfs" mount --size 64M "$place"
before=$(used)

say "write 200 MiB into it"
if message=$(LC_ALL=C dd if=/dev/zero of="$place/big" bs=1M count=200 2>&1); then
    fail "200 MiB fitted into 64 MiB"
fi
printf '%s\n' "$message"
case $message in
*"No space left on device"*) ;;
*) fail "the refusal was not 'No space left on device'" ;;
esac

say "the limit held, and the figures are true"
df -h "$place"
"$dmemfs" status "$place"

say "what is there can still be overwritten, at 100 % full"
dd if=/dev/zero of="$place/big" bs=1M count=8 conv=notrunc status=none
echo "8 MiB overwritten"

say "delete it: the usage is back at the start"
rm "$place/big"
# The kernel tells the daemon of a deleted file's end a moment after rm has ended.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    after=$(used)
    [ "$after" = "$before" ] && break
    sleep 0.1
done
df -h "$place"
echo "used before: $before bytes, after: $after bytes"
[ "$after" = "$before" ] || fail "not everything was given back"

say "unmount"
"$dmemfs" umount "$place"
rmdir "$place"
echo "done: no mount, no process and no file is left"
