#!/bin/sh
# Installs those of the named Debian packages that are missing, and says so. Does nothing without dpkg.
set -eu

command -v dpkg-query >/dev/null || exit 0
missing=""
for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "packages are missing, and no sudo:$missing" >&2; exit 1; }
    as_root="sudo"
fi
echo "installing missing packages${as_root:+ with sudo}:$missing"
# The lists may be old or absent; a failed update shows in the installation.
$as_root apt-get update -qq || true
# shellcheck disable=SC2086 # a list of words is meant
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
