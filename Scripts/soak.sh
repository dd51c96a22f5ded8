#!/usr/bin/env bash
# A million calls, half of them ended by their deadline, and then a look at the broker: memory, descriptors and threads
# must be back where they were. Then reloads of a plugin under constant load (RELOADS, RATE), and what neighbours that
# misbehave cost a plugin.
set -euo pipefail
cd "$(dirname "$0")/.."

wiz=$PWD/.build/release/wiz
[ -x "$wiz" ] || Scripts/build.sh
seconds=${SECONDS_PER_PART:-60}
work=$(mktemp -d "${TMPDIR:-/tmp}/wizmesh-soak.XXXXXX")
export WIZ_RUN=$work/run
unset WIZ_ENDPOINT WIZ_TICKET
mesh=
stop_mesh() {
    [ -z "$mesh" ] || { kill -TERM "$mesh" 2>/dev/null || true; wait "$mesh" 2>/dev/null || true; }
    mesh=
}
finish() {
    stop_mesh
    rm -rf "$work"
}
trap finish EXIT

"$wiz" up plugins/echo --ready-file "$work/ready" >"$work/log" 2>&1 &
mesh=$!
for _ in $(seq 1 200); do [ -f "$work/ready" ] && break; kill -0 $mesh; read -rt 0.1 <> <(:) || true; done

look() {
    local status=/proc/$mesh/status
    rss=$(awk '/^VmRSS/ { print $2 }' $status)
    threads=$(awk '/^Threads/ { print $2 }' $status)
    files=$(find /proc/$mesh/fd -mindepth 1 | wc -l)
    printf '%-28s %8d KiB resident, %3d threads, %3d descriptors\n' "$1" "$rss" "$threads" "$files"
}
part() { "$wiz" bench "$@" --json >>"$work/bench" 2>>"$work/bench.err" || true; }
calls() { "$wiz" metrics --json | grep -oE '"calls":[0-9]+' | cut -d: -f2 | awk '{ sum += $1 } END { print sum + 0 }'; }

# Buffers and caches take their size first: a warm-up as wide as the run.
part echo.say --window 256 --duration 5s
part echo.sleep --payload '{"milliseconds":1000}' --deadline 1ms --window 256 --duration 5s
look "after the warm-up"
before_rss=$rss before_threads=$threads before_files=$files
part echo.say --window 256 --duration "${seconds}s"
look "after plain calls"
part echo.sleep --payload '{"milliseconds":1000}' --deadline 1ms --window 256 --duration "${seconds}s"
look "after calls that were ended"
printf '%s calls in all\n' "$(calls)"

failed=0
[ $((rss - before_rss)) -lt 4096 ] || { echo "soak: $((rss - before_rss)) KiB more are resident"; failed=1; }
[ "$threads" -le "$before_threads" ] || { echo "soak: threads were left"; failed=1; }
[ "$files" -le "$before_files" ] || { echo "soak: descriptors were left"; failed=1; }
# What follows has meshes of its own.
stop_mesh
unset WIZ_RUN
# What is measured is optimised. The first build takes minutes.
measured() { swift test -c release -Xswiftc -enable-testing --filter "$@"; }
# 100 reloads under 2 000 calls/s, among them crashes in init and kills at the flip: nothing lost, nothing done twice.
WIZ_RELOADS=${RELOADS:-100} WIZ_RATE=${RATE:-2000} measured ReloadUnderLoadTests || failed=1
# Plugins that misbehave beside one that is called at a steady rate: nobody is slowed, each is gone within its bound.
WIZ_NEIGHBOUR_SECONDS=${NEIGHBOUR_SECONDS:-20} measured NeighbourTests || failed=1
[ $failed -eq 0 ] && echo "soak: everything is back where it was"
exit $failed
