#!/bin/sh
# `dmemfs run` as an unprivileged user, and then as root: what the command sees, how it ends, and that nothing
# outlives it. Takes the program's path and an empty folder. Runs as root in a mount namespace of its own
# (unshare -m), where it opens /dev/fuse to all, as udev does, and hides fusermount3.
set -eu

program=$1
place=$2
user=65534

mount -t tmpfs -o mode=755 tmpfs "$place"
cp -a /dev/fuse "$place/fuse"
chmod 666 "$place/fuse"
mount --bind "$place/fuse" /dev/fuse
for hidden in /usr/bin/fusermount3 /bin/fusermount3; do
    [ ! -e "$hidden" ] || mount --bind /dev/null "$hidden"
done
mkdir -m 1777 "$place/tmp" "$place/out"

as_root() { ${exec:-} env -u XDG_RUNTIME_DIR TMPDIR="$place/tmp" PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
as_user() { as_root setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"; }
# What is being shown, and as whom.
who=as_user
run() { "$who" "$program" run --size 64M "$@"; }
# The same as the process itself that `&` makes, so that $! is the program's.
replace() {
    exec=exec
    run "$@"
}
fail() {
    echo "as $who: $*" >&2
    exit 1
}
# The code that a command ends with.
code_of() {
    code=0
    "$@" || code=$?
}
is_code() { [ "$code" -eq "$1" ] || fail "code $code where $1 was due"; }
# Waits until a process is gone, for a minute at most.
gone() {
    for _ in $(seq 600); do
        [ -e "/proc/$1" ] || return 0
        sleep 0.1
    done
    fail "process $1 is still there: $(cat "/proc/$1/comm")"
}
# Nothing of any run is in the folder for temporary files, and no process is left that has it as its own: both
# the daemon and the command do, and nothing in here takes it from them.
nothing_left() {
    [ -z "$(ls "$place/tmp")" ] || fail "left in TMPDIR: $(ls "$place/tmp")"
    ! grep -q "$place/tmp/dmemfs" /proc/self/mountinfo || fail "a mount is left"
    left=$(grep -lsa "TMPDIR=$place/tmp" /proc/[0-9]*/environ) || return 0
    fail "of a run there is left $left: $(cat "${left%%/environ*}/comm")"
}

shows_the_limit() {
    # shellcheck disable=SC2016 # the command expands
    code_of run -- sh -c '
        exec 2>"$0/dd"
        dd if=/dev/zero of="$TMPDIR/x" bs=1M count=100
        echo $? >"$0/code"
        [ "$TMPDIR" = "$DMEMFS_DIR" ]
        id -u >"$0/id"
        grep -E "^(CapPrm|CapEff|CapAmb|NoNewPrivs)" /proc/self/status >"$0/privileges"
    ' "$place/out" 2>"$place/out/report"
    is_code 0
    grep -q "No space left" "$place/out/dd"
    [ "$(cat "$place/out/code")" -eq 1 ]
    grep -q "dmemfs: peak 6[0-9].* of 64 MiB, 2 nodes; refused 1 for bytes" "$place/out/report"
    rm -f "$place/out/code" "$place/out/dd"
}

keeps_the_user() {
    [ "$(cat "$place/out/id")" -eq "$user" ] || fail "id -u says $(cat "$place/out/id")"
    ! grep -q "^Cap.*:.*[1-9a-f]" "$place/out/privileges" || fail "the command has capabilities"
    grep -q "NoNewPrivs:.1" "$place/out/privileges"
}

passes_codes_on() {
    for wanted in 0 1 7 255; do
        code_of run --report /dev/null -- sh -c "exit $wanted"
        is_code "$wanted"
    done
    # shellcheck disable=SC2016 # the command expands
    for signal in 9 15; do
        code_of run --report /dev/null -- sh -c 'kill -$0 $$' "$signal"
        is_code $((128 + signal))
    done
    code_of run --report /dev/null -- dmemfs-no-such-program 2>"$place/out/said"
    is_code 127
    grep -q "cannot run 'dmemfs-no-such-program': no such file" "$place/out/said"
    code_of run --report /dev/null -- /etc/passwd 2>"$place/out/said"
    is_code 126
    code_of run --size 0 -- true 2>"$place/out/said"
    is_code 64
    code_of run 2>"$place/out/said"
    is_code 64
    grep -q "behind '--'" "$place/out/said"
    nothing_left
}

reports() {
    # shellcheck disable=SC2016 # the command expands
    code_of run --json --max-nodes 10 --report "$place/out/json" -- sh -c '
        head -c 10M /dev/zero >"$TMPDIR/x" && rm "$TMPDIR/x"
        for n in 1 2 3 4 5 6 7 8 9 10 11 12; do touch "$TMPDIR/$n"; done 2>/dev/null
        exit 3'
    is_code 3
    [ "$(wc -l <"$place/out/json")" -eq 1 ]
    for part in '"exit_code":3' '"max_nodes":10' '"peak_nodes":10' '"nodes":[1-9]' \
        '"peak_bytes":10[4-9][0-9]\{5\}[,}]' '"limit_bytes":67108864'; do
        grep -q "$part" "$place/out/json" || fail "no $part in $(cat "$place/out/json")"
    done
    # What the command writes is not mixed with what we say.
    [ "$(run -- echo hello 2>/dev/null)" = hello ]
    rm -f "$place/out/json"
}

passes_signals_on() {
    mkfifo -m 666 "$place/out/fifo"
    for signal in TERM INT HUP USR1 QUIT; do
        # shellcheck disable=SC2016 # the command expands
        replace --report /dev/null -- sh -c '
            trap "exit 9" "$1"
            echo up >"$0/fifo"
            while :; do sleep 0.1; done' "$place/out" "$signal" &
        read -r _ <"$place/out/fifo"
        # A shell in the background has its children ignore these two, and a trap cannot undo that.
        case $signal in INT | QUIT) sent=TERM wanted=143 ;; *) sent=$signal wanted=9 ;; esac
        kill -"$sent" $!
        code_of wait $!
        is_code "$wanted"
    done
    rm "$place/out/fifo"
    nothing_left
}

ends_what_is_left() {
    # shellcheck disable=SC2016 # the command expands
    run --report /dev/null -- sh -c '
        sleep 999 & echo $! >"$0/pids"
        setsid sleep 999 & echo $! >>"$0/pids"
        (trap "" HUP INT TERM; cd "$TMPDIR"; exec sleep 999) & echo $! >>"$0/pids"
        (unshare -Ur sleep 999 & wait) & echo $! >>"$0/pids"
        wait $! & :' "$place/out"
    while read -r process; do
        [ ! -e "/proc/$process" ] || [ "$(cat "/proc/$process/comm")" != sleep ] || fail "$process lives"
    done <"$place/out/pids"
    # Not even one that always makes a successor.
    # shellcheck disable=SC2016 # the command expands
    run --report /dev/null -- sh -c '
        echo "(sh \"\$0\" \"\$0\" &) ; exit" >"$0/hop"
        for n in 1 2 3 4; do sh "$0/hop" "$0/hop" & done
        sleep 0.2' "$place/out"
    rm -f "$place/out/pids" "$place/out/hop"
    nothing_left
}

survives_kill() {
    mkfifo -m 666 "$place/out/fifo"
    # shellcheck disable=SC2016 # the command expands
    replace --report /dev/null -- sh -c '
        sleep 998 & echo "$$ $!" >"$0/fifo"; wait' "$place/out" &
    read -r shell sleeper <"$place/out/fifo"
    kill -KILL $!
    wait $! 2>/dev/null || true
    gone "$shell"
    gone "$sleeper"
    for _ in $(seq 600); do
        [ -n "$(ls "$place/tmp")" ] || break
        sleep 0.1
    done
    rm "$place/out/fifo"
    nothing_left
}

nests() {
    # shellcheck disable=SC2016 # the command expands
    [ "$(run -- "$program" run --size 16M -- sh -c 'df -P "$TMPDIR" "$TMPDIR/.." | grep -c dmemfs; id -u' \
        2>/dev/null | paste -sd' ')" = "2 $("$who" id -u)" ] || fail "a run in a run"
    nothing_left
}

a_hundred() {
    # shellcheck disable=SC2016 # the command expands
    for _ in $(seq 100); do
        run --report /dev/null -- sh -c 'echo x >"$TMPDIR/x"' "$place/out"
    done
    nothing_left
}

names_the_setting() {
    # The limit of a namespace binds what is made in it; outside nobody notices.
    # shellcheck disable=SC2016 # the inner shell expands
    code_of unshare --user --map-user=1000 --map-group=1000 --keep-caps sh -c '
        echo 0 >/proc/sys/user/max_user_namespaces
        exec "$0" run --size 64M -- true' "$program" 2>"$place/out/said"
    is_code 32
    grep -q "user.max_user_namespaces is 0" "$place/out/said" || fail "it says: $(cat "$place/out/said")"
    [ -z "$(ls "$place/tmp")" ]
}

everything() {
    shows_the_limit
    [ "$who" = as_root ] || keeps_the_user
    passes_codes_on
    reports
    passes_signals_on
    ends_what_is_left
    survives_kill
    nests
    a_hundred
    echo "$who: as it should be"
}

everything
names_the_setting
rm -rf "$place"/out/*
who=as_root
everything
