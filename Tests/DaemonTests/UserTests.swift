import Basics
import Glibc
import Testing

@Suite("a mount of an unprivileged user's", .enabled(if: Program.canMount, "\(Program.mountSkip)"))
struct UserTests {
    /// What a user does, as uid 65534 in a mount namespace where /dev/fuse is open to all, as udev leaves it.
    private static let script = #"""
        set -eu
        program=$1 place=$2
        mount -t tmpfs tmpfs "$place"
        cp -a /dev/fuse "$place/fuse"
        chmod 666 "$place/fuse"
        mount --bind "$place/fuse" /dev/fuse
        mkdir -m 777 "$place/own" "$place/run"
        chmod 755 "$place"
        user() {
            setpriv --reuid=65534 --regid=65534 --clear-groups env XDG_RUNTIME_DIR="$place/run" "$@"
        }
        status() { user "$program" status --json "$place/own/m"; }
        user "$program" mount --mkdir --size 8M "$place/own/m"
        user sh -c "echo hello >$place/own/m/x"
        grep "$place/own/m" /proc/self/mountinfo | grep -q "nosuid,nodev.*user_id=65534"
        ! ls "$place/own/m" 2>/dev/null
        # A copy of one moment, where users may have namespaces of their own.
        if user unshare -Um true; then
            user "$program" freeze "$place/own/m" -- sh -euc '
                test "$(id -u) $(stat -c %u "$1/x") $(cat "$1/x")" = "65534 65534 hello"
                ! touch "$1/y" 2>/dev/null; exit 7' sh "$place/own/m" || [ $? = 7 ]
        fi
        status | grep -q '"limit_bytes" : 8388608'
        ! user "$program" mount -o allow_other "$place/own" 2>"$place/said"
        grep -q -e user_allow_other -e "not empty" "$place/said"
        process=$(status | sed -n 's/.*"pid" : \([0-9]*\).*/\1/p')
        kill -KILL "$process"
        until user "$program" list | grep -q "$place/own/m (dmemfs) dead"; do :; done
        user "$program" mount --size 8M "$place/own/m" 2>"$place/said"
        grep -q "cleared the dead mount" "$place/said"
        ! user "$program" mount --size 8M "$place/own/m" 2>"$place/said"
        grep -q "already mounted" "$place/said"
        user "$program" umount "$place/own/m"
        ! grep "$place/own/m" /proc/self/mountinfo
        [ -z "$(ls "$place/run/dmemfs")" ]
        # Without a runtime folder the control socket is in a folder of the user's own in /tmp.
        bare() { setpriv --reuid=3 --regid=3 --clear-groups env -u XDG_RUNTIME_DIR "$@"; }
        mkdir -m 777 "$place/bare"
        rm -rf /tmp/dmemfs-3
        bare "$program" mount --mkdir --size 8M "$place/bare/m"
        bare "$program" status "$place/bare/m" | grep -q "of 8 MiB"
        "$program" status "$place/bare/m" | grep -q "of 8 MiB"
        bare "$program" resize "$place/bare/m" 9M
        bare "$program" umount "$place/bare/m"
        rmdir /tmp/dmemfs-3
        # A folder that somebody else has put there is not trusted.
        mkdir -m 777 /tmp/dmemfs-3
        bare "$program" mount --size 8M "$place/bare/m" 2>"$place/said"
        grep -q "no control socket" "$place/said"
        bare "$program" umount "$place/bare/m"
        rmdir /tmp/dmemfs-3
        """#

    @Test("is private, is cleared when dead, and leaves nothing")
    func life() throws {
        try Script.run([
            "unshare", "-m", "sh", "-x", "-c", Self.script, "sh", Program.path, Script.place,
        ])
    }
}
