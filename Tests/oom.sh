#!/bin/sh
# What memory cgroups do to a mount and to those who use it: `make oom` runs it as root.
#
# oom.sh PROGRAM [quick]: with `quick` everything is a quarter of its size, and the tmpfs is left out.
# Ends with 77 where there are no memory cgroups to be made.
set -eu

dmemfs=$(realpath "${1:-.build/release/dmemfs}")
scale=4
[ "${2:-}" = quick ] && scale=1

work=$(mktemp -d)
groups=
cleanup() {
    status=$?
    trap - EXIT
    for place in "$work/fs" "$work/tmpfs"; do
        "$dmemfs" umount --lazy "$place" 2>/dev/null || umount -l "$place" 2>/dev/null || true
    done
    for group in $groups; do
        # The daemon ends a moment after its mount.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            rmdir "$group" 2>/dev/null && break
            sleep 0.2
        done
    done
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n--- %s\n' "$*"; }
fail() {
    echo "oom.sh failed: $*" >&2
    exit 1
}
skip() {
    echo "skipped: $*"
    exit 77
}

[ "$(id -u)" = 0 ] || skip "not root"
if [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
    # Below our own, so that whatever bounds us bounds these as well.
    own=$(sed -n 's/^[0-9]*:[^:]*\bmemory\b[^:]*://p' /proc/self/cgroup)
    top=/sys/fs/cgroup/memory$own
    [ -d "$top" ] || top=/sys/fs/cgroup/memory
    limit=memory.limit_in_bytes peak=memory.max_usage_in_bytes version=1
elif grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
    top=/sys/fs/cgroup
    echo +memory >"$top/cgroup.subtree_control" 2>/dev/null || skip "no memory controller below $top"
    limit=memory.max peak=memory.peak version=2
else
    skip "no memory cgroups"
fi

# make_group NAME MIB: sets `group`.
make_group() {
    group=$top/dmemfs-oom-$$-$1
    mkdir "$group" 2>/dev/null || skip "cannot make a cgroup below $top"
    groups="$group $groups"
    echo $(($2 * 1048576)) >"$group/$limit"
    # What swap takes is not refused: it must not blur the picture.
    [ ! -e "$group/memory.memsw.limit_in_bytes" ] ||
        echo $(($2 * 1048576)) >"$group/memory.memsw.limit_in_bytes" 2>/dev/null || true
    [ ! -e "$group/memory.swap.max" ] || echo 0 >"$group/memory.swap.max"
}
# within GROUP COMMAND...: runs it in that cgroup.
within() {
    in_group=$1
    shift
    sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' sh "$in_group" "$@"
}
kills() {
    case $version in
    1) sed -n 's/^oom_kill //p' "$1/memory.oom_control" ;;
    2) sed -n 's/^oom_kill //p' "$1/memory.events" ;;
    esac
}
peak_of() { cat "$1/$peak" 2>/dev/null || echo unknown; }
figure() { "$dmemfs" status --json "$work/fs" | sed -n "s/.*\"$1\" : \([0-9a-z]*\).*/\1/p" | head -1; }
# write FILE MIB [dd's words]: 0, or dd's failure; its words are in $work/said.
write() {
    file=$1 count=$2
    shift 2
    LC_ALL=C dd if=/dev/urandom of="$file" bs=1M count="$count" "$@" 2>"$work/said"
}
refused() { grep -q 'No space left on device' "$work/said"; }

mkdir "$work/fs" "$work/tmpfs"
job_mib=$((16 * scale))
quota_mib=$((64 * scale))
much_mib=$((256 * scale))

say "a job limited to $job_mib MiB writes $much_mib MiB to dmemfs, whose limit is $quota_mib MiB"
make_group job "$job_mib"
"$dmemfs" mount --size "${quota_mib}M" "$work/fs"
code=0
within "$group" sh -c \
    'LC_ALL=C dd if=/dev/zero of="$1" bs=1M count="$2" 2>"$3"; echo "dd: $?, the job lives" >>"$3"' \
    sh "$work/fs/big" "$much_mib" "$work/said" || code=$?
cat "$work/said"
[ "$code" = 0 ] && grep -q 'the job lives' "$work/said" || fail "the job was killed on dmemfs ($code)"
refused || fail "the job was not refused with ENOSPC"
[ "$(kills "$group")" = 0 ] || fail "something was killed in the job's cgroup"
echo "the job's cgroup: peak $(peak_of "$group") bytes, killed: 0"
"$dmemfs" umount --timeout 10s "$work/fs"

if [ "$scale" = 4 ]; then
    say "the same job on a tmpfs of $quota_mib MiB"
    mount -t tmpfs -o "size=${quota_mib}M" tmpfs "$work/tmpfs"
    make_group tmpfs "$job_mib"
    code=0
    # The shell is part of the job: whom the kernel kills is dd.
    within "$group" sh -c 'LC_ALL=C dd if=/dev/zero of="$1" bs=1M count="$2" 2>"$3"' \
        sh "$work/tmpfs/big" "$much_mib" "$work/said" 2>/dev/null || code=$?
    echo "dd: $code (137 is killed), killed in the cgroup: $(kills "$group")"
    [ "$(kills "$group")" != 0 ] || fail "on tmpfs the job was not killed: the comparison says nothing"
    umount "$work/tmpfs"
fi

daemon_mib=$((75 * scale))
limit_mib=$((256 * scale))
headroom_mib=$((8 * scale))
say "a daemon in a cgroup of $daemon_mib MiB whose limit is $limit_mib MiB, with the guard"
make_group daemon "$daemon_mib"
within "$group" "$dmemfs" mount --size "${limit_mib}M" --memory-guard-headroom "${headroom_mib}M" "$work/fs"
daemon=$(figure pid)
alive() {
    kill -0 "$daemon" 2>/dev/null && [ "$(kills "$group")" = 0 ] || fail "the daemon was killed: $1"
}
write "$work/fs/first" 8 || fail "8 MiB were refused: $(cat "$work/said")"
sum=$(sha256sum <"$work/fs/first")
code=0
write "$work/fs/fill" "$limit_mib" || code=$?
cat "$work/said"
[ "$code" != 0 ] && refused || fail "the guard let $limit_mib MiB into $daemon_mib MiB"
alive "writing"
"$dmemfs" status "$work/fs"
df -m "$work/fs"
[ "$(figure tripped)" = true ] || fail "status does not say that the guard is tripped"
[ "$("$dmemfs" status --json "$work/fs" | sed -n 's/.*"guard" : \([0-9]*\),/\1/p')" -gt 0 ] ||
    fail "the refusals do not count as the guard's"

say "several writers at once"
for index in 1 2 3 4; do
    (LC_ALL=C dd if=/dev/zero of="$work/fs/w$index" bs=64k count=$((limit_mib * 16)) 2>"$work/said$index") &
    eval "writer$index=\$!"
done
for index in 1 2 3 4; do
    eval "wait \$writer$index" && fail "writer $index was not refused"
    grep -q 'No space left on device' "$work/said$index" || fail "writer $index: $(cat "$work/said$index")"
done
alive "four writers"
echo "the daemon's cgroup: peak $(peak_of "$group") of $((daemon_mib * 1048576)) bytes, killed: 0"

say "while it refuses: reading through the cache, fallocate, overwriting, deleting"
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
[ "$(sha256sum <"$work/fs/first")" = "$sum" ] || fail "the first file reads otherwise"
# From within the daemon's own cgroup, so that the cache of what is read is charged there, too.
within "$group" sh -c 'cat "$1" >/dev/null; cat "$1" >/dev/null' sh "$work/fs/fill"
alive "reading"
if fallocate -l "${limit_mib}M" "$work/fs/large" 2>"$work/said"; then fail "fallocate was not refused"; fi
refused || fail "fallocate: $(cat "$work/said")"
alive "fallocate"
write "$work/fs/first" 8 conv=notrunc || fail "overwriting was refused: $(cat "$work/said")"
within "$group" dd if=/dev/zero of="$work/fs/fill" bs=1M count=$((daemon_mib / 3)) conv=notrunc status=none ||
    fail "overwriting from within the cgroup was refused"
alive "overwriting"
rm -f "$work/fs"/w[1-4] "$work/fs/large" "$work/fs/fill" || fail "deleting was refused"

say "after deleting, writing works again"
for _ in 1 2 3 4 5 6 7 8 9 10; do
    code=0
    write "$work/fs/again" $((daemon_mib / 2)) || code=$?
    [ "$code" = 0 ] && break
    sleep 0.5
done
[ "$code" = 0 ] || fail "writing is still refused: $(cat "$work/said")"
alive "writing again"
[ "$(figure tripped)" = false ] || fail "the guard is still tripped"
echo "the daemon's cgroup, with the cache of who read within: peak $(peak_of "$group") bytes, killed: 0"
rm "$work/fs/again"

say "what is reserved may be written, whatever the guard says"
# A file that was just removed ends a moment later.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    code=0
    fallocate -l $((daemon_mib / 2))M "$work/fs/reserved" || code=$?
    [ "$code" = 0 ] && break
    sleep 0.2
done
[ "$code" = 0 ] || fail "half of the cgroup could not be reserved"
write "$work/fs/fill" "$limit_mib" && fail "the guard did not refuse"
write "$work/fs/reserved" $((daemon_mib / 2)) conv=notrunc ||
    fail "reserved space was refused: $(cat "$work/said")"
alive "writing what was reserved"
"$dmemfs" umount --timeout 10s "$work/fs"

if [ "$scale" = 4 ]; then
    say "and without the guard"
    make_group off "$daemon_mib"
    within "$group" "$dmemfs" mount --size "${limit_mib}M" --memory-guard none "$work/fs"
    write "$work/fs/fill" "$limit_mib" && fail "$limit_mib MiB fitted into $daemon_mib MiB"
    cat "$work/said"
    echo "killed in the daemon's cgroup: $(kills "$group"): the files are gone, the mount is dead"
    "$dmemfs" umount "$work/fs"
fi
echo "done: refused in time, nobody was killed here"
