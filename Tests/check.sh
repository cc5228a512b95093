#!/bin/sh
# What `dmemfs check` says where one thing after the other is taken away, in a mount namespace of its own:
#   unshare -m Tests/check.sh PROGRAM EMPTY-FOLDER
set -eu
program=$1 place=$2
export XDG_RUNTIME_DIR=

fail() {
    echo "wrong: $*" >&2
    exit 1
}
# Runs the rest of the line, which must end with this code and print this finding, and its remedy.
expect() {
    code=$1 finding=$2 remedy=$3 got=0
    shift 3
    "$@" >"$place/said" 2>&1 || got=$?
    [ $got = "$code" ] || fail "$* ended with $got: $(cat "$place/said")"
    grep -A 1 -e "$finding" "$place/said" | grep -q -e "$remedy" || fail "$*: $(cat "$place/said")"
}
user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
mount -t tmpfs -o mode=755 tmpfs "$place"

expect 0 "ok *mount" "" "$program" check
"$program" check --json >"$place/json"
python3 -c '
import json, sys
told = json.load(open(sys.argv[1]))
assert told["can_mount"] and told["ways"]["direct"], told
assert all(set(f) >= {"check", "state", "says"} for f in told["findings"]), told
' "$place/json"
expect 32 "FAILED *capability" "cap-add SYS_ADMIN" \
    setpriv --inh-caps=-sys_admin --bounding-set=-sys_admin "$program" check

# A filter on mount(2), by architecture-independent number 165 of x86-64 and 40 of arm64.
cat >"$place/filter.py" <<'END'
import ctypes, os, platform, struct, sys
number = {"x86_64": 165, "aarch64": 40}[platform.machine()]
program = b"".join(struct.pack("HBBI", *line) for line in [
    (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)])
room = ctypes.create_string_buffer(program)
descriptor = struct.pack("HxxxxxxQ", 4, ctypes.addressof(room))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(descriptor), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
END
expect 32 "FAILED *seccomp" "seccomp=unconfined" python3 "$place/filter.py" "$program" check

# A user.
expect 32 "FAILED *device_mode" "chmod 666" user "$program" check
cp -a /dev/fuse "$place/fuse"
chmod 666 "$place/fuse"
mount --bind "$place/fuse" /dev/fuse
expect 0 "ok *fusermount3" "" user "$program" check
expect 0 "- *user_allow_other" "/etc/fuse.conf" user "$program" check
expect 0 "- *engines" "host's root" user "$program" check
expect 32 "FAILED *fusermount3" "NoNewPrivileges" user setpriv --no-new-privs "$program" check
mkdir "$place/bin"
cp "$(command -v fusermount3)" "$place/bin/fusermount3"
chmod 755 "$place/bin/fusermount3"
expect 32 "FAILED *fusermount3" "chmod 4755" user env PATH="$place/bin:$PATH" "$program" check
expect 32 "FAILED *fusermount3" "package fuse3" user env PATH="$place" "$program" check
mkdir "$place/etc"
echo user_allow_other >"$place/etc/fuse.conf"
mount --bind "$place/etc/fuse.conf" /etc/fuse.conf
expect 0 "ok *user_allow_other" "" user "$program" check

# No user namespaces, in one where that is ours to say.
expect 0 "- *user_namespaces" "max_user_namespaces=" unshare -U -r -m sh -c \
    'echo 0 >/proc/sys/user/max_user_namespaces && exec "$1" check' sh "$program"

# No device.
expect 32 "FAILED *device" "modprobe fuse" unshare -m sh -c \
    'mount --bind /dev/null /dev/fuse && exec "$1" check' sh "$program"
expect 32 "FAILED *device" "device /dev/fuse" unshare -m sh -c \
    'mount -t tmpfs none /dev && exec "$1" check' sh "$program"
devices=/sys/fs/cgroup/devices
if mkdir "$devices/dmemfs-check.$$" 2>/dev/null; then
    trap 'rmdir "$devices/dmemfs-check.$$"' EXIT
    echo "c 10:229 rwm" >"$devices/dmemfs-check.$$/devices.deny"
    expect 32 "FAILED *device_cgroup" "DeviceAllow" sh -c \
        'echo $$ >"$1/cgroup.procs" && exec "$2" check' sh "$devices/dmemfs-check.$$" "$program"
else
    echo "not shown: no device cgroup (v1) can be made here"
fi
