#!/bin/sh
# Runs the tests, or any command, for at most so many seconds: limit.sh SECONDS COMMAND [ARGUMENT]...
#
# When the time is up says which tests have begun and not ended, which processes there are, and where their
# threads stand in the kernel; ends the command with all of its session, and exits with 124.
set -eu

seconds=$1
shift
log=$(mktemp)
child=""
cleanup() {
    status=$?
    trap - EXIT INT TERM
    [ -z "$child" ] || pkill -KILL -s "$child" || true
    rm -f "$log"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

unended() {
    awk '/^◇ Test .* started\.$/ { sub(/^◇ /, ""); sub(/ started\.$/, ""); begun[$0] = 1 }
        /^[^ ]+ Test .* (passed|failed) after / { sub(/^[^ ]+ /, ""); sub(/ (passed|failed) after .*/, "")
            sub(/ with [0-9]+ test cases$/, ""); delete begun[$0] }
        END { for (test in begun) print test }' "$log"
}
stacks() {
    for task in /proc/"$1"/task/*; do
        echo "$1 $(cat "$task/comm" "$task/wchan" 2>/dev/null | tr '\n' ' ')"
        cat "$task/stack" 2>/dev/null || true
    done
}
report() {
    echo "not ended after $seconds s:"
    unended
    ps -e -o pid,ppid,pgid,stat,etimes,args --forest
    grep fuse /proc/self/mountinfo || true
    for process in $(pgrep -s "$child"; pgrep -x dmemfs); do stacks "$process"; done
}

# In a session of its own, so that it can be ended as a whole; in lines, so that the log is whole at any time.
setsid stdbuf -oL -eL "$@" >"$log" 2>&1 &
child=$!
if timeout "$seconds" tail -n +1 -f --pid="$child" "$log"; then
    code=0
    wait "$child" || code=$?
    child=""
    exit "$code"
fi
report
exit 124
