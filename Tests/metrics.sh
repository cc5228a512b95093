#!/bin/sh
# Metrics as their readers see them: promtool takes both ways to get them, with ten thousand quotas as well,
# and a Prometheus scrapes them over TCP as OpenMetrics. Takes the program. Needs root, /dev/fuse, attr, curl,
# prometheus and python3.
set -eu

program=$1
place=$(mktemp -d)
mount=$place/mount
prometheus=""
mkdir "$mount"

end() {
    [ -z "$prometheus" ] || kill "$prometheus" 2>/dev/null || true
    umount "$mount" 2>/dev/null || umount -l "$mount" 2>/dev/null || true
    wait
    rm -rf "$place"
}
trap end EXIT
fail() {
    echo "metrics: $*" >&2
    exit 1
}
# Tries a command until it succeeds, for a minute at most.
until_so() {
    for _ in $(seq 600); do
        "$@" && return 0
        sleep 0.1
    done
    fail "still not so: $*"
}

"$program" mount -f --size 256M --max-nodes 100k --metrics-listen :0 --page "$mount" 2>"$place/log" &
until_so grep -q 'metrics at http' "$place/log"
address=$(sed -n 's|.*metrics at http://\([^/]*\)/.*|\1|p' "$place/log")

# A metric of every kind, with names that have to be escaped.
mkdir "$mount/job" "$mount/a \"quoted\" \\ name"
for directory in "$mount/job" "$mount/a \"quoted\" \\ name"; do
    "$program" quota set "$directory" --size 8M --max-nodes 100 >/dev/null
done
if dd if=/dev/zero of="$mount/job/file" bs=1M count=9 2>/dev/null; then fail "9 MiB fit into 8"; fi

check() {
    complaints=$(promtool check metrics <"$place/text" 2>&1) || fail "$1: $complaints"
    [ -z "$complaints" ] || fail "$1: $complaints"
    grep -q '^dmemfs_refusals_total{.*reason="directory"} [1-9]' "$place/text" || fail "$1: no refusal"
}
"$program" metrics "$mount" >"$place/text"
check "dmemfs metrics"
"$program" metrics "$mount" --textfile "$place/text"
check "dmemfs metrics --textfile"
curl -fsS "http://$address/metrics" >"$place/text"
check "curl"

# Bounded, whatever there is.
python3 - "$mount" <<'END'
import os, sys
for number in range(10000):
    directory = f"{sys.argv[1]}/job-{number}"
    os.mkdir(directory)
    os.setxattr(directory, "trusted.dmemfs.quota.max_bytes", b"1048576")
END
curl -fsS "http://$address/metrics" >"$place/text"
check "with 10,000 quotas"
bytes=$(wc -c <"$place/text")
[ "$bytes" -lt 262144 ] || fail "$bytes bytes with 10,000 quotas"
series=$(grep -c '^dmemfs_directory_used_bytes{' "$place/text")
[ "$series" -eq 200 ] || fail "$series directories with 10,000 quotas"

# Prometheus itself, which asks for OpenMetrics.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$place/prometheus.yml" <<END
scrape_configs:
- job_name: dmemfs
  scrape_interval: 1s
  static_configs: [{ targets: ["$address"] }]
END
prometheus --config.file="$place/prometheus.yml" --storage.tsdb.path="$place/data" \
    --web.listen-address="127.0.0.1:$port" >"$place/prometheus.log" 2>&1 &
prometheus=$!
ask() { curl -fsS "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" 2>/dev/null; }
has() { ask "$1" | grep -q "$2"; }
until_so has 'up{job="dmemfs"}' '"1"\]'
until_so has 'dmemfs_limit_bytes' '"268435456"\]'
has 'count(dmemfs_request_duration_seconds_bucket{operation="mkdir",le="+Inf"} > 9999)' '"1"\]' ||
    fail "prometheus has no histogram: $(ask 'dmemfs_request_duration_seconds_count')"
metadata=$(curl -fsS "http://127.0.0.1:$port/api/v1/targets/metadata?metric=dmemfs_used_bytes")
# Only OpenMetrics tells a unit.
echo "$metadata" | grep -q '"unit":"bytes"' || fail "prometheus did not read OpenMetrics: $metadata"
echo "metrics: promtool and prometheus take them; $bytes bytes with 10,000 quotas"
