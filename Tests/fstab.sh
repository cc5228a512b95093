#!/bin/sh
# What mount(8) and fstab do with the program, in a mount namespace of its own:
#   unshare -m Tests/fstab.sh PROGRAM EMPTY-FOLDER
# Prints what was wrong, and ends with 1 then.
set -eu
program=$1 place=$2
export XDG_RUNTIME_DIR=

fail() {
    echo "wrong: $*" >&2
    exit 1
}
# The lines of mountinfo for one mountpoint as it is written there.
mounts() { grep -F " $1 " /proc/self/mountinfo || true; }
count() { mounts "$1" | wc -l; }
has() { mounts "$1" | grep -q -e "$2" || fail "$1 lacks $2: $(mounts "$1")"; }
size() { df --output=size -k "$1" | tail -n 1 | tr -d ' '; }

# No daemon stays where a step has failed.
trap 'for name in tmp fail "no auto" system own; do umount -l "$place/$name" 2>/dev/null || true; done' EXIT
mount -t tmpfs -o mode=755 tmpfs "$place"
mkdir -p "$place/sbin" "$place/etc" "$place/tmp" "$place/fail" "$place/no auto" "$place/system"
mkdir -m 777 "$place/run"
ln -s "$program" "$place/sbin/mount.dmemfs"
ln -s "$program" "$place/sbin/mount.fuse.dmemfs"
mount -t overlay -o lowerdir="$place/sbin:/usr/sbin" overlay /usr/sbin
cat >"$place/etc/fstab" <<END
scratch $place/tmp dmemfs size=64M,nr_inodes=1k,mode=1770,uid=root,gid=daemon,huge=never,strictatime 0 0
none $place/fail fuse.dmemfs nr_blocks=4096,nr_inodes=0,nofail,_netdev,noatime 0 0
two\040words $place/no\040auto dmemfs noauto,size=8M 0 0
a,b $place/system dmemfs size=1m,defaults,noexec,x-systemd.requires=/mnt,X-mount.mkdir,comment=x,fsname=c 0 0
own $place/own dmemfs noauto,user,size=8M,mode=0700 0 0
END
mount -t overlay -o lowerdir="$place/etc:/etc" overlay /etc

# Three times, one mount each.
for round in 1 2 3; do mount -a; done
mount "$place/no auto"
! mount "$place/no auto" 2>/dev/null || fail "a second mount"
auto="$place/no\\040auto"
for name in "$place/tmp" "$place/fail" "$auto" "$place/system"; do
    [ "$(count "$name")" = 1 ] || fail "$(count "$name") mounts on $name"
    has "$name" "nosuid,nodev"
done
has "$place/fail" "noatime.*fuse.dmemfs none "
has "$place/system" "noexec"
[ "$(findmnt -n -o SOURCE,FSTYPE "$place/no auto")" = "two words fuse.dmemfs" ] || fail findmnt
[ "$(findmnt -n -o SOURCE "$place/system")" = "a,b" ] || fail "findmnt a,b"
[ "$(size "$place/tmp")" = 65536 ] || fail "$(df "$place/tmp")"
[ "$(size "$place/fail")" = 16384 ] || fail "$(df "$place/fail")"
[ "$(df --output=itotal "$place/tmp" | tail -n 1 | tr -d ' ')" = 1024 ] || fail "$(df -i "$place/tmp")"
[ "$(stat -c %a,%U,%G "$place/tmp")" = 1770,root,daemon ] || fail "$(stat "$place/tmp")"

# A remount changes what it names, at once, and no more.
mount -o remount,size=128M "$place/tmp"
[ "$(size "$place/tmp")" = 131072 ] || fail "remount: $(df "$place/tmp")"
has "$place/tmp" "nosuid,nodev"
mount -o remount,ro,noexec "$place/tmp"
has "$place/tmp" " ro,nosuid,nodev,noexec.* - fuse.dmemfs scratch ro,"
! touch "$place/tmp/x" 2>/dev/null || fail "a write to a read-only mount"
mount -o remount,rw,nr_inodes=2k "$place/tmp"
has "$place/tmp" " rw,nosuid,nodev.* - fuse.dmemfs scratch rw,"
head -c 10000000 /dev/zero >"$place/tmp/y"
! mount -o remount,size=5M "$place/tmp" 2>"$place/said" || fail "shrunk below use"
grep -q "5 MiB (5242880 bytes).*bytes) are in use" "$place/said" || fail "$(cat "$place/said")"
# Refused as a whole: the limit stays when the flags cannot be had.
exec 3>"$place/tmp/open"
code=0
mount -o remount,ro,size=200M "$place/tmp" 2>"$place/said" || code=$?
[ $code = 32 ] || fail "read-only with an open file: $code"
grep -q "read-only, held by .*$$ (" "$place/said" || fail "$(cat "$place/said")"
exec 3>&-
[ "$(size "$place/tmp")" = 65536 ] || fail "half a remount: $(df "$place/tmp")"
code=0
mount -o remount,sise=5M "$place/tmp" 2>"$place/said" || code=$?
[ $code = 1 ] && grep -q "did you mean 'size'" "$place/said" || fail "$code $(cat "$place/said")"
mount -s -o remount,sise=5M "$place/tmp" || fail "sloppy"
mount -o remount,size=70% "$place/tmp"
[ "$(count "$place/tmp")" = 1 ] || fail "a remount stacks"
for name in tmp fail "no auto" system; do umount "$place/$name"; done
! mount -o remount,size=1M "$place/tmp" 2>"$place/said" || fail "a remount of nothing"
grep -q "no dmemfs is mounted" "$place/said" || fail "$(cat "$place/said")"

# A line that a user may mount.
cp -a /dev/fuse "$place/fuse"
chmod 666 "$place/fuse"
mount --bind "$place/fuse" /dev/fuse
mkdir -m 755 "$place/own"
chown 65534:65534 "$place/own"
user() {
    setpriv --reuid=65534 --regid=65534 --clear-groups env XDG_RUNTIME_DIR="$place/run" "$@"
}
user mount "$place/own"
has "$place/own" "nosuid,nodev,noexec.*fuse.dmemfs own .*user_id=65534"
user touch "$place/own/x"
user fusermount3 -u "$place/own"

# mount.fuse3 without our link: it adds dev and suid, which nobody asked for.
mkdir "$place/bin"
ln -s "$program" "$place/bin/dmemfs"
PATH="$place/bin:$PATH"
mount.fuse3 'dmemfs#through' "$place/tmp" -o size=8M
has "$place/tmp" "nosuid,nodev.*fuse.dmemfs through"
umount "$place/tmp"
# A mount that somebody else makes: we get a descriptor and no privileges.
mount.fuse3 'dmemfs#given' "$place/tmp" -o drop_privileges,setuid=nobody,size=8M,default_permissions
user touch "$place/tmp/x"
umount "$place/tmp"
code=0
mount.fuse3 'dmemfs#given' "$place/tmp" -o drop_privileges,sise=8M 2>"$place/said" || code=$?
[ $code = 1 ] && grep -q "umount -l" "$place/said" || fail "$code $(cat "$place/said")"
umount -l "$place/tmp"
code=0
mount.fuse3 'dmemfs#given' "$place/tmp" -o drop_privileges,allow_other 2>"$place/said" || code=$?
[ $code != 0 ] && grep -q "default_permissions" "$place/said" || fail "$code $(cat "$place/said")"
umount -l "$place/tmp"
