#!/bin/sh
# What `make install`, `make deb` and `make dist` give: complete, clean for Debian's tools and for mandoc,
# usable, and gone without a trace. Takes the package and the tarball. Needs root; it installs the package on
# this machine, and removes it again.
set -eu

package=$(realpath "$1")
tarball=$(realpath "$2")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
cleanup() {
    status=$?
    trap - EXIT INT TERM
    umount -l "$work/mount" 2>/dev/null || true
    ! dpkg-query -s dmemfs >/dev/null 2>&1 || dpkg --purge dmemfs >/dev/null
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
    echo "packaging: $*" >&2
    exit 1
}
! dpkg-query -s dmemfs >/dev/null 2>&1 || fail "dmemfs is installed here already: remove it first"

# Everything that belongs to an installation is in the tree $1 with the prefix $2.
check_tree() {
    for file in bin/dmemfs lib/systemd/system/dmemfs@.service lib/systemd/system/dmemfs.slice \
        lib/systemd/user/dmemfs@.service share/man/man1/dmemfs.1 \
        share/man/man5/dmemfs.conf.5 share/man/man8/mount.dmemfs.8 share/man/man8/mount.fuse.dmemfs.8 \
        share/bash-completion/completions/dmemfs share/fish/vendor_completions.d/dmemfs.fish; do
        [ -e "$1$2/$file" ] || [ -e "$1$2/$file.gz" ] || fail "$file is missing in $1"
    done
    for helper in mount.dmemfs mount.fuse.dmemfs; do
        link=$(realpath "$1/usr/sbin/$helper")
        [ "$link" = "$(realpath "$1$2/bin/dmemfs")" ] || fail "$helper leads to $link"
    done
    for kind in system user; do
        unit=$1$2/lib/systemd/$kind/dmemfs@.service
        grep -q "ExecStart=$2/bin/dmemfs " "$unit" || fail "the path in $unit"
    done
}

# The program $1 mounts, keeps its limit, runs a command, and leaves nothing.
check_program() {
    mkdir -p "$work/mount"
    "$1" --version >/dev/null
    "$1" mount --size 8M "$work/mount" >/dev/null
    ! head -c 9M /dev/zero >"$work/mount/x" 2>/dev/null || fail "9 MiB fitted into 8 MiB"
    "$1" umount "$work/mount"
    # shellcheck disable=SC2016 # the command expands
    [ "$("$1" run --size 8M -- sh -c 'df -P "$TMPDIR" | grep -c dmemfs' 2>/dev/null)" = 1 ] || fail "no run"
}

installs_and_uninstalls() {
    make -s install DESTDIR="$work/root"
    check_tree "$work/root" /usr/local
    mandoc -T lint -W warning "$work"/root/usr/local/share/man/man?/*
    bash -n "$work/root/usr/local/share/bash-completion/completions/dmemfs"
    zsh -n "$work/root/usr/local/share/zsh/site-functions/_dmemfs"
    fish -n "$work/root/usr/local/share/fish/vendor_completions.d/dmemfs.fish"
    for word in run mount --max-nodes; do
        grep -q -e "$word" "$work/root/usr/local/share/bash-completion/completions/dmemfs" || fail "no $word"
    done
    make -s uninstall DESTDIR="$work/root"
    [ -z "$(find "$work/root" ! -type d)" ] || fail "left: $(find "$work/root" ! -type d)"
    echo "install and uninstall: as they should be"
}

debian_package() {
    lintian --fail-on error,warning "$package"
    dpkg -i "$package" >/dev/null
    check_tree "" /usr
    check_program /usr/bin/dmemfs
    # With the installed helper, as fstab has it.
    echo "scratch $work/mount dmemfs size=8M,nofail 0 0" >"$work/fstab"
    for _ in 1 2 3; do mount -a -T "$work/fstab"; done
    [ "$(grep -c " $work/mount " /proc/self/mountinfo)" -eq 1 ] || fail "mount -a did not mount once"
    mount -o remount,size=16M "$work/mount"
    df --output=size -k "$work/mount" | grep -q -w 16384 || fail "a remount does not resize"
    umount "$work/mount"
    dpkg-query -L dmemfs >"$work/files"
    dpkg --purge dmemfs >/dev/null
    while read -r file; do
        [ -d "$file" ] || [ ! -e "$file" ] || fail "$file was left by the package"
    done <"$work/files"
    [ ! -e /usr/share/doc/dmemfs ] || fail "a folder was left by the package"
    echo "package: accepted, installed, used and removed"
}

tarball_without_swift() {
    tar -C "$work" -xzf "$tarball"
    tree=$(find "$work" -maxdepth 1 -name 'dmemfs-*-linux-*')
    check_tree "$tree" /usr/local
    program=$tree/usr/local/bin/dmemfs
    ! ldd "$program" | grep -E 'swift|Foundation|fuse|not found' || fail "it needs what is not everywhere"
    # In a mount namespace where neither Swift nor libfuse is.
    swift=$(dirname "$(dirname "$(dirname "$(realpath "$(command -v swift || echo /none/none/none)")")")")
    mkdir "$work/nothing"
    # shellcheck disable=SC2016 # the inner shell expands
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$work" unshare -m sh -euc '
        [ ! -d "$1" ] || mount --bind "$2/nothing" "$1"
        for library in /usr/lib/*/libfuse3.so.3*; do mount --bind /dev/null "$library"; done
        ! command -v swift
        "$3" --version
        "$3" mount --size 8M "$2/mount"
        "$3" umount "$2/mount"
        "$3" run --size 8M -- true
    ' sh "$swift" "$work" "$program" >/dev/null 2>"$work/said" || fail "without Swift: $(cat "$work/said")"
    echo "tarball: runs without Swift and without libfuse"
}

installs_and_uninstalls
debian_package
tarball_without_swift
