#!/bin/sh
# Boots a systemd of its own in fresh namespaces and puts the unit through its life: start, use from
# outside the unit, kill -9, restart, stop. Takes the program's path and the unit file's. Exits with 77, and
# says why, where no systemd can be booted.
set -eu

program=$(realpath "$1")
unit=$(realpath "$2")
mountpoint=/run/my-scratch
service="dmemfs@run-my\\x2dscratch.service"
group="dmemfs-test-$$"

skip() {
    echo "skipped: $*"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip "not root"
[ -x /lib/systemd/systemd ] || skip "there is no /lib/systemd/systemd"
unshare --fork --pid --mount --uts --ipc --cgroup true 2>/dev/null || skip "no namespaces"

log=$(mktemp)
manager=""
unshared=""
cleanup() {
    status=$?
    trap - EXIT INT TERM
    # The end of its PID 1 ends all of a PID namespace.
    [ -z "$manager" ] || kill -KILL "$manager" 2>/dev/null || true
    [ -z "$unshared" ] || wait "$unshared" 2>/dev/null || true
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -d "$hierarchy/$group" ] || continue
        # A group can be removed only a moment after its last process has ended.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            find "$hierarchy/$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep 0.1
        done
    done
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || cat "$log" >&2
    rm -f "$log"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# In groups of its own, so that what systemd makes of them can be found and removed.
enter_groups() {
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -f "$hierarchy/cgroup.procs" ] || continue
        mkdir "$hierarchy/$group" 2>/dev/null || continue
        echo 0 2>/dev/null >"$hierarchy/$group/cgroup.procs" || rmdir "$hierarchy/$group"
    done
}

boot() {
    enter_groups
    # Without the tmpfs on /tmp the boot would empty the real one.
    # shellcheck disable=SC2016 # the inner shell expands
    exec unshare --fork --pid --mount --uts --ipc --cgroup sh -euc '
        mount --make-rprivate /
        mount -t proc proc /proc
        mount -t tmpfs tmpfs /run
        mkdir -p /run/bin /run/systemd/system/dmemfs@.service.d "$3"
        cp "$1" /run/bin/dmemfs
        sed "s|/usr/bin/dmemfs|/run/bin/dmemfs|" "$2" >/run/systemd/system/dmemfs@.service
        printf "[Service]\nEnvironment=DMEMFS_SIZE=16M\n" >/run/systemd/system/dmemfs@.service.d/size.conf
        mount -t tmpfs tmpfs /tmp
        mount -t tmpfs tmpfs /var/log
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            /lib/systemd/systemd --system --unit=basic.target
    ' sh "$program" "$unit" "$mountpoint"
}

inside() { nsenter -t "$manager" -p -m -u -i -C -- "$@"; }
# Waits up to 20 seconds for a command to succeed.
await() {
    for _ in $(seq 100); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    echo "waited in vain for: $*" >&2
    inside systemctl status --no-pager "$service" >&2 || true
    return 1
}
property() { inside systemctl show -P "$1" "$service"; }
is() { [ "$(property "$1")" = "$2" ]; }
is_mounted() { inside grep -q " $mountpoint .* fuse.dmemfs " /proc/self/mountinfo; }
has_booted() {
    manager=$(pgrep -P "$unshared" -x systemd) || return 1
    inside systemctl is-system-running | grep -qx -e running -e degraded
}

boot >"$log" 2>&1 &
unshared=$!
await has_booted || skip "systemd does not boot in a namespace here"

inside systemctl start "$service"
is ActiveState active
is_mounted
inside sh -c "echo hello >$mountpoint/file && grep -q hello $mountpoint/file"
inside /run/bin/dmemfs status "$mountpoint" | grep -q "of 16 MiB"
echo "started, and used from outside the unit"

inside kill -KILL "$(property MainPID)"
await is NRestarts 1
await is ActiveState active
is_mounted
[ -z "$(inside ls "$mountpoint")" ]
inside sh -c "echo again >$mountpoint/file"
echo "killed, and restarted with a working empty mount"

inside systemctl stop "$service"
is ActiveState inactive
is Result success
if is_mounted; then
    echo "the mount is still there" >&2
    exit 1
fi
if inside pgrep -x dmemfs; then
    echo "a process is still there" >&2
    exit 1
fi
echo "stopped, and nothing is left"
