#!/bin/sh
# The model test must be able to fail: here the tree is given other bytes than the reference, and must be
# caught.
# Run after a build of the tests. Succeeds where the model test fails with the difference that was made.
set -u
cd "$(dirname "$0")/.." || exit 1
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
DMEMFS_CANARY=1 swift test --skip-build --disable-xctest --filter '^TreeTests\.ModelTests' >"$log" 2>&1
status=$?
if [ "$status" -ne 0 ] && grep -q 'content of .* first other at' "$log"; then
    echo "canary: a wrong byte was noticed, as it must be"
    exit 0
fi
tail -n 5 "$log"
echo "canary: the model test did not notice a wrong byte (status $status)" >&2
exit 1
