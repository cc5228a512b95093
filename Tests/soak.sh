#!/bin/sh
# Everything that runs long, by one command. Takes the minutes that each form of the stress on a mount lasts.
set -eu
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
minutes=${1:-10}
began=$(date +%s)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs the tests of one filter. One that matches nothing would succeed.
long() {
    echo "--- $1"
    $swift test --skip-build --disable-xctest --filter "$1" 2>&1 | tee "$log"
    grep -qE 'Test run with [1-9][0-9]* tests? .* passed' "$log" || {
        echo "soak: $1 failed" >&2
        exit 1
    }
}

$swift build --build-tests
DMEMFS_HOSTILE=1000000 long '^FuseTests\.HostileTreeTests'
DMEMFS_MODEL_STEPS=$((minutes * 2000)) long '^TreeTests\.ModelTests'
DMEMFS_STRESS=$((minutes * 50000)) long '^TreeTests\.ConcurrencyTests'
DMEMFS_STRESS_SECONDS=$((minutes * 60)) long '^MountTests\.StressTests'

DMEMFS_STRESS=$((minutes * 5000)) DMEMFS_STRESS_SECONDS=$((minutes * 6)) Tests/sanitize.sh thread
DMEMFS_HOSTILE=$((minutes * 10000)) DMEMFS_STRESS_SECONDS=$((minutes * 6)) Tests/sanitize.sh address

echo "soak: all held, in $((($(date +%s) - began + 59) / 60)) minutes"
