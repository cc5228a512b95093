#!/bin/sh
# The program against another libfuse, which is installed under the prefix $1: builds with it, and runs the
# cases of the rules on mounts, and the requests that go through libfuse without one.
set -eu
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
prefix=${1:?name the prefix that the other libfuse is installed under, such as /opt/fuse-3.18}
found=$(find "$prefix" -name fuse3.pc -print -quit)
[ -n "$found" ] || {
    echo "libfuse: $prefix has no fuse3.pc: install libfuse's development files there" >&2
    exit 1
}
PKG_CONFIG_PATH=$(dirname "$found")
export PKG_CONFIG_PATH
version=$(pkg-config --modversion fuse3)
libraries=$(pkg-config --variable=libdir fuse3)
export LD_LIBRARY_PATH="$libraries"
scratch=.build-libfuse-$version

$swift build --scratch-path "$scratch" --build-tests
used=$(ldd "$scratch/debug/dmemfs" | sed -n 's/.*libfuse3[^ ]* => \([^ ]*\).*/\1/p')
case $used in
"$libraries"/*) ;;
*)
    echo "libfuse: the program uses ${used:-no libfuse} and not what is in $libraries" >&2
    exit 1
    ;;
esac
$swift test --scratch-path "$scratch" --skip-build --disable-xctest \
    --filter 'PosixTests|MountTests|FuseTests|FeatureTests|EngineTests|LifeTests'
echo "libfuse: built and tested with libfuse $version from $libraries"
