#!/bin/sh
# Boots a systemd of its own in fresh namespaces and puts the units through their lives. Takes the program's
# path and the folder of the units. Exits with 77, and says why, where no systemd can be booted.
set -eu

program=$(realpath "$1")
units=$(realpath "$2")
place=/run/my-scratch
instance='run-my\x2dscratch'
service="dmemfs@$instance.service"
group="dmemfs-test-$$"
user=nobody

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
    # Without the tmpfs on /tmp the boot would empty the real one. Settings, fstab and the helper of mount(8)
    # lie over the machine's own; users may open the FUSE device.
    # shellcheck disable=SC2016 # the inner shell expands
    exec unshare --fork --pid --mount --uts --ipc --cgroup sh -euc '
        mount --make-rprivate /
        mount -t proc proc /proc
        # These still show the whole machine, where systemd would make its groups.
        for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
            [ ! -d "$hierarchy/$4" ] || mount --bind "$hierarchy/$4" "$hierarchy"
        done
        mount -t tmpfs tmpfs /run
        mkdir -p /run/bin /run/sbin /run/etc /run/conf /run/home /run/lib "$3"
        chmod 1777 /run/home
        cp "$1" /run/bin/dmemfs
        ln -s /run/bin/dmemfs /run/sbin/mount.dmemfs
        ln -s /run/conf /run/etc/dmemfs
        options=size=8M,nr_inodes=100,nofail,x-systemd.requires=basic.target,X-mount.mkdir
        echo "line /run/line dmemfs $options 0 0" >/run/etc/fstab
        for kind in system user; do
            mkdir -p /run/systemd/$kind
            for unit in "$2/"*.service "$2/"*.slice "$2/user/"*.service; do
                case $unit in */user/*) of=user ;; *) of=system ;; esac
                [ $of = $kind ] || continue
                sed "s|/usr/bin/dmemfs|/run/bin/dmemfs|" "$unit" >"/run/systemd/$kind/${unit##*/}"
            done
        done
        sed -e "s|^Where=.*|Where=/run/unit|" -e "s|size=[^,]*|size=4M|" -e "s|^MemoryMax=.*|MemoryMax=64M|" \
            "$2/examples/mnt-scratch.mount" >/run/systemd/system/run-unit.mount
        cp -a /dev/fuse /run/fuse
        chmod 666 /run/fuse
        mount --bind /run/fuse /dev/fuse
        mount -t overlay -o lowerdir=/run/sbin:/usr/sbin overlay /usr/sbin
        mount -t overlay -o lowerdir=/run/etc:/etc overlay /etc
        mount -t tmpfs tmpfs /tmp
        mount -t tmpfs tmpfs /var/log
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            /lib/systemd/systemd --system --unit=basic.target
    ' sh "$program" "$units" "$place" "$group"
}

inside() { nsenter -t "$manager" -p -m -u -i -C -- "$@"; }
# Waits up to 40 seconds for a command to succeed.
await() {
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    fail "waited in vain for: $*"
}
fail() {
    echo "systemd: $*" >&2
    inside systemctl status --no-pager --full "$service" >&2 || true
    inside journalctl -q -n 40 --no-pager >&2 || true
    exit 1
}
property() { inside systemctl show -P "$1" "${2:-$service}"; }
is() { [ "$(property "$1")" = "$2" ]; }
must_be() { is "$1" "$2" || fail "$1 is $(property "$1"), not $2"; }
is_mounted() { inside grep -q " ${1:-$place} .* fuse.dmemfs " /proc/self/mountinfo; }
mounts() { inside grep -c " $1 .* fuse.dmemfs " /proc/self/mountinfo || true; }
size() { inside df --output=size -k "$1" | tail -n 1 | tr -d ' '; }
# Whether the unit $1 has said $2.
has_said() {
    inside journalctl --sync
    inside journalctl -q --no-pager -u "$1" | grep -q -e "$2"
}
must_have_said() { has_said "$1" "$2" || fail "$1 did not say '$2'"; }
set_to() { inside sh -c "printf '$1' >'/run/conf/$instance.conf'"; }
has_no_process() { ! inside pgrep -x dmemfs; }
nothing_left() {
    ! is_mounted "$1" || fail "a mount is still on $1"
    has_no_process || fail "a process is still there"
}
has_booted() {
    manager=$(pgrep -P "$unshared" -x systemd) || return 1
    inside systemctl is-system-running 2>/dev/null | grep -qx -e running -e degraded
}

starts() {
    set_to 'size = 16M\nstop_timeout = 2s\nmlock\n'
    inside systemctl start "$service"
    must_be ActiveState active
    is_mounted || fail "no mount"
    inside sh -c "echo hello >$place/file && grep -q hello $place/file"
    inside /run/bin/dmemfs status "$place" | grep -q "of 16 MiB"
    line=$(inside systemctl status --no-pager "$service" | grep "Status:.* 16 MiB") || fail "no status line"
    inside grep -q "VmLck:.*[1-9]" "/proc/$(property MainPID)/status" || fail "nothing is kept out of swap"
    [ "$(property Slice)" = dmemfs.slice ] || fail "it is in $(property Slice)"
    [ "$(property MemoryMax dmemfs.slice)" != infinity ] || fail "the slice has no limit"
    echo "started, and used from outside the unit:$line"
}

reloads() {
    set_to 'size = 32M\nstop_timeout = 2s\n'
    inside systemctl reload "$service"
    [ "$(size $place)" = 32768 ] || fail "after the reload: $(inside df $place)"
    inside grep -q hello "$place/file"
    set_to 'size = 0\n'
    ! inside systemctl reload "$service" 2>/dev/null || fail "a faulty file was taken"
    must_have_said "$service" "nothing is changed"
    must_be ActiveState active
    [ "$(size $place)" = 32768 ] || fail "half a reload: $(inside df $place)"
    set_to 'size = 32M\nstop_timeout = 2s\n'
    must_have_said "$service" "mlock: only a new mount changes that"
    echo "reloaded, and resized; a faulty file changes nothing"
}

# 'nofail': the boot does not wait for it.
mounts_line_of_fstab() {
    await is_mounted /run/line
    [ "$(mounts /run/line)" = 1 ] && [ "$(size /run/line)" = 8192 ] || fail "fstab: $(inside df /run/line)"
    inside mount -a
    [ "$(mounts /run/line)" = 1 ] || fail "mount -a mounts again"
    inside systemctl stop run-line.mount
    ! is_mounted /run/line || fail "a mount is still on /run/line"
    await has_no_process
    echo "line of fstab: mounted at the boot, stopped, and nothing is left"
}

# The daemon dies by the command, and is there again.
survives() {
    before=$(property NRestarts)
    "$@"
    await is NRestarts $((before + 1))
    await is ActiveState active
    [ "$(mounts $place)" = 1 ] || fail "$(mounts $place) mounts after $*"
    [ -z "$(inside ls "$place")" ] || fail "not empty after $*"
    inside sh -c "echo again >$place/file"
}

is_killed() {
    survives inside kill -KILL "$(property MainPID)"
    echo "killed, and restarted with a working empty mount"
}

hangs() {
    inside mkdir -p "/run/systemd/system/$service.d"
    inside sh -c "printf '[Service]\nWatchdogSec=2\n' >'/run/systemd/system/$service.d/watchdog.conf'"
    inside systemctl daemon-reload
    inside systemctl restart "$service"
    survives inside kill -STOP "$(property MainPID)"
    must_have_said "$service" "result 'watchdog'"
    echo "stopped by SIGSTOP, and restarted by the watchdog"
}

stops() {
    inside systemctl stop "$service"
    must_be ActiveState inactive
    must_be Result success
    nothing_left "$place"
    echo "stopped, and nothing is left"
}

stops_busily() {
    inside systemctl start "$service"
    inside systemd-run -q --unit holder sh -c "exec sleep 1000 >$place/held"
    await inside test -e "$place/held"
    inside systemctl stop "$service"
    must_be ActiveState inactive
    # Not 'timeout': it ended before systemd killed it.
    must_be Result success
    must_have_said "$service" "is in use, held by .* (sleep: open file $place/held)"
    nothing_left "$place"
    inside systemctl stop holder
    echo "stopped while in use, within the limit, after naming the holder"
}

fails_to_start() {
    missing="dmemfs@run-missing.service"
    ! inside systemctl start "$missing" 2>/dev/null || fail "it started on nothing"
    must_have_said "$missing" "/run/missing does not exist: make it, or use --mkdir"
    inside systemctl stop "$missing"
    inside sh -c "printf 'sise = 5M\n' >/run/conf/run-missing.conf; mkdir /run/missing"
    ! inside systemctl start "$missing" 2>/dev/null || fail "it started with a fault"
    must_have_said "$missing" "did you mean 'size'"
    [ "$(property ActiveState "$missing")" = failed ] || fail "a fault of the settings is tried again"
    inside systemctl reset-failed
    echo "failed to start, with the reason in the journal"
}

mounts_by_unit() {
    inside systemctl start run-unit.mount
    [ "$(mounts /run/unit)" = 1 ] && [ "$(size /run/unit)" = 4096 ] || fail "$(inside df /run/unit)"
    inside grep -q run-unit.mount "/proc/$(inside pgrep -x -n dmemfs)/cgroup" || fail "not in its group"
    inside sed -i 's/size=4M/size=8M/' /run/systemd/system/run-unit.mount
    inside systemctl daemon-reload
    inside systemctl reload run-unit.mount
    [ "$(mounts /run/unit)" = 1 ] && [ "$(size /run/unit)" = 8192 ] || fail "reload: $(inside df /run/unit)"
    inside systemctl stop run-unit.mount
    ! is_mounted /run/unit || fail "the mount unit's mount is still there"
    await has_no_process
    echo "mount unit: started, resized by a reload, stopped, and nothing is left"
}

of_user() {
    number=$(id -u "$user")
    service="dmemfs@run-home-scratch.service"
    if ! inside systemctl start "user@$number.service"; then
        echo "user's unit: no manager for a user here, so it was not tried"
        return
    fi
    as_user() {
        inside setpriv --reuid="$number" --regid="$(id -g "$user")" --clear-groups \
            env XDG_RUNTIME_DIR="/run/user/$number" "$@"
    }
    property() { as_user systemctl --user show -P "$1" "$service"; }
    place=/run/home/scratch
    as_user systemctl --user set-environment DMEMFS_SIZE=8M
    as_user systemctl --user start "$service"
    must_be ActiveState active
    as_user sh -c "echo hello >$place/file"
    as_user systemctl --user status --no-pager "$service" | grep -q "Status:.*8 MiB" || fail "no status line"
    as_user kill -KILL "$(property MainPID)"
    await is NRestarts 1
    await is ActiveState active
    as_user sh -c "[ -z \"\$(ls $place)\" ] && echo again >$place/file" || fail "no empty mount again"
    as_user systemctl --user stop "$service"
    must_be ActiveState inactive
    must_be Result success
    nothing_left "$place"
    echo "user's unit: started, killed, restarted, stopped, and nothing is left"
}

boot >"$log" 2>&1 &
unshared=$!
# Not 'await': where no systemd boots, that is no fault.
for _ in $(seq 150); do
    has_booted && break
    sleep 0.2
done
has_booted || skip "systemd does not boot in a namespace here"

mounts_line_of_fstab
starts
reloads
is_killed
hangs
stops
stops_busily
fails_to_start
mounts_by_unit
of_user
inside systemd-analyze security --no-pager "$service" 2>/dev/null | tail -n 1 || true
