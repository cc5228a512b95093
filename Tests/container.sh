#!/bin/sh
# The program in Podman containers, root's and a user's, with the flags that README names. Takes the program;
# needs root. The container's files are this machine's /usr: no image is fetched. Where podman cannot run a
# container with those flags alone, it says what forbids it, and which flags were added.
set -eu

[ "$(id -u)" -eq 0 ] || { echo "container: needs root" >&2; exit 1; }
if [ "$(readlink /proc/self/ns/mnt)" = "${DMEMFS_OUTER:-$(readlink /proc/self/ns/mnt)}" ]; then
    # In namespaces of its own, of which nothing is left: a user's podman keeps processes.
    DMEMFS_OUTER=$(readlink /proc/self/ns/mnt) \
        exec unshare --mount --pid --fork --kill-child --mount-proc "$0" "$(realpath "$1")"
fi

program=$1
user=dmemfs-container
work=$(mktemp -d)
added=""
cleanup() {
    status=$?
    trap - EXIT INT TERM
    podman rm -f -t 1 dmemfs-test >/dev/null 2>&1 || true
    as_user podman rm -f -t 1 dmemfs-test >/dev/null 2>&1 || true
    umount -l /etc 2>/dev/null || true
    rm -rf --one-file-system "$work" || true
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
    echo "container: $*" >&2
    exit 1
}
as_root() { "$@"; }
as_user() {
    (cd / && exec setpriv --reuid="$user" --regid="$user" --clear-groups \
        env -i PATH="$PATH" HOME="$work/home" XDG_RUNTIME_DIR="$work/runtime" "$@")
}

make_files() {
    root=$work/root
    chmod 755 "$work"
    mkdir -p "$root/usr" "$root/etc" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/opt"
    for folder in bin sbin lib lib64; do
        [ ! -d "/usr/$folder" ] || ln -s "usr/$folder" "$root/$folder"
    done
    cp /etc/passwd /etc/group /etc/ld.so.cache "$root/etc"
    cp "$program" "$root/opt/dmemfs"
    # What the container does.
    cat >"$root/opt/scenario" <<'END'
set -eu
PATH=/opt:$PATH
dmemfs check >/tmp/check || { cat /tmp/check; exit 1; }
dmemfs mount --mkdir --size 8M /mnt/scratch
[ "$(df --output=size -k /mnt/scratch | tail -n 1 | tr -d ' ')" = 8192 ]
! head -c 9M /dev/zero >/mnt/scratch/x 2>/dev/null
dmemfs status /mnt/scratch | grep used
dmemfs umount /mnt/scratch
dmemfs run --size 8M -- sh -c 'echo hello >$TMPDIR/x'
END
    # The user is in a layer over /etc that goes with this namespace.
    mkdir "$work/upper" "$work/layer"
    mount -t overlay -o "lowerdir=/etc,upperdir=$work/upper,workdir=$work/layer" overlay /etc
    useradd -M -d "$work/home" -s /bin/sh "$user"
    mkdir "$work/home" "$work/runtime"
    chown -R "$user:$user" "$work/home" "$work/runtime"
    # As udev has it.
    mkdir "$work/device"
    cp -a /dev/fuse "$work/device/fuse"
    chmod 666 "$work/device/fuse"
    mount --bind "$work/device/fuse" /dev/fuse
}

# $1 is who: as_root or as_user. The rest is for 'podman run'.
container() {
    who=$1
    shift
    # shellcheck disable=SC2086 # lists of words are meant
    $who podman --log-level=error run --name dmemfs-test --network none $added "$@"
}

# Finds what this machine needs besides the documented flags.
look_at_machine() {
    said=$(container as_root --rm -v /usr:/usr:ro --rootfs "$work/root" true 2>&1) && return 0
    echo "podman with no more than these flags fails here: $said"
    added="--cgroups=disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
    # crun takes no mixture of the two versions of control groups.
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    container as_root --rm -v /usr:/usr:ro --rootfs "$work/root" true || fail "no container can be run here"
    echo "so these were added: $added, and /sys/fs/cgroup is version 2 alone"
}

shows() {
    who=$1
    [ "$who" = as_root ] || chown -R "$user:$user" "$work/root"
    container "$who" --rm --device /dev/fuse --cap-add SYS_ADMIN -v /usr:/usr:ro \
        --rootfs "$work/root" sh /opt/scenario || fail "$who: the scenario"
    # The daemon as the container's first process; the stop reaches it as SIGTERM.
    container "$who" -d --device /dev/fuse --cap-add SYS_ADMIN -v /usr:/usr:ro \
        --rootfs "$work/root" /opt/dmemfs mount -f --mkdir --size 8M /mnt/scratch >/dev/null
    for _ in $(seq 100); do
        $who podman exec dmemfs-test /opt/dmemfs status /mnt/scratch >/dev/null 2>&1 && break
        sleep 0.1
    done
    $who podman exec dmemfs-test sh -c 'echo hello >/mnt/scratch/x && cat /mnt/scratch/x' | grep -q hello ||
        fail "$who: not mounted by the first process"
    $who podman stop -t 30 dmemfs-test >/dev/null
    code=$($who podman inspect -f '{{.State.ExitCode}}' dmemfs-test)
    [ "$code" = 0 ] || fail "$who: the daemon ended with $code"
    $who podman rm dmemfs-test >/dev/null
    echo "$who: mounted, bounded, run, and stopped by podman stop with code 0"
}

# Without a flag the program says which.
explains() {
    said=$(container as_root --rm --cap-add SYS_ADMIN -v /usr:/usr:ro --rootfs "$work/root" \
        /opt/dmemfs mount --mkdir --size 8M /mnt/scratch 2>&1) && fail "mounted without a device"
    echo "$said" | grep -q -e "--device /dev/fuse" || fail "without the device: $said"
    said=$(container as_root --rm --device /dev/fuse -v /usr:/usr:ro --rootfs "$work/root" \
        /opt/dmemfs check 2>&1) && fail "can mount without the capability"
    echo "$said" | grep -q -e "--cap-add SYS_ADMIN" || fail "without the capability: $said"
    echo "without the device, and without the capability: the missing flag is named"
}

# A mount that the host and other containers see.
is_shared() {
    mkdir "$work/shared"
    mount --bind "$work/shared" "$work/shared"
    mount --make-shared "$work/shared"
    container as_root -d --device /dev/fuse --cap-add SYS_ADMIN -v /usr:/usr:ro \
        --mount "type=bind,source=$work/shared,target=/srv,bind-propagation=shared" \
        --rootfs "$work/root" /opt/dmemfs mount -f --mkdir --size 8M /srv/scratch >/dev/null
    for _ in $(seq 100); do
        grep -q " $work/shared/scratch .* fuse.dmemfs " /proc/self/mountinfo && break
        sleep 0.1
    done
    echo hello >"$work/shared/scratch/x" || fail "the host cannot write"
    podman exec dmemfs-test grep -q hello /srv/scratch/x || fail "the host's mount is another"
    podman stop -t 30 dmemfs-test >/dev/null
    ! grep -q " $work/shared/scratch " /proc/self/mountinfo || fail "the mount outlived the container"
    podman rm dmemfs-test >/dev/null
    umount "$work/shared"
    echo "with bind-propagation=shared: the host sees the mount, and it ends with the container"
}

make_files
look_at_machine
shows as_root
explains
is_shared
shows as_user
