#!/bin/sh
# The tests under a sanitizer, in a build of their own: `sanitize.sh thread` or `sanitize.sh address`.
#
# First a fault that is made on purpose must be noticed. The daemon of the tests' mounts is built in the same
# way, and its report makes its test fail. With `address` the C code is checked for undefined behaviour, too.
set -eu
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

kind=${1:-}
case $kind in
thread)
    flags=""
    # Of the limits on a mount only the test that has many threads: another measures the daemon's memory, of
    # which the sanitizer takes most.
    filter='^(TreeTests\.(Concurrency|QuotaRace)Tests|AccountingTests'
    filter="$filter|MountTests\.(Stress|DyingCaller|DirectoryQuota|Engine)Tests)|QuotaTests/concurrentFilling"
    sign='ThreadSanitizer: .* race'
    ;;
address)
    flags='-Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined'
    # Of the tests of a mount those that remove everything: what is left in it at the end looks like a leak,
    # as nobody takes a daemon's tree apart that ends.
    filter='^(FuseTests|TreeTests|StorageTests|AccountingTests|MountTests\.StressTests)'
    sign='AddressSanitizer: heap-buffer-overflow'
    ;;
*)
    echo "usage: sanitize.sh thread|address" >&2
    exit 64
    ;;
esac
build="--sanitize=$kind --scratch-path .build-$kind"
export TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}"
export SWIFT_BACKTRACE="enable=no"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# shellcheck disable=SC2086 # lists of words are meant
$swift build --build-tests $build $flags

# shellcheck disable=SC2086
DMEMFS_CANARY=1 $swift test --skip-build --disable-xctest $build $flags \
    --filter '^TreeTests\.SanitizerTests' >"$log" 2>&1 || true
grep -q "$sign" "$log" || {
    tail -n 5 "$log"
    echo "the $kind sanitizer did not notice a fault made on purpose" >&2
    exit 1
}
echo "the $kind sanitizer notices a fault made on purpose"

# shellcheck disable=SC2086
$swift test --skip-build --disable-xctest $build $flags --filter "$filter" 2>&1 | tee "$log"
# The status of a pipe is that of its end; and a filter that matches nothing would succeed.
grep -qE 'Test run with [1-9][0-9]* tests? .* passed' "$log" || exit 1
if grep -qE '(Thread|Address|Leak|UndefinedBehavior)Sanitizer: |runtime error: ' "$log"; then
    echo "the $kind sanitizer has found something: see above" >&2
    exit 1
fi
echo "clean under the $kind sanitizer"
