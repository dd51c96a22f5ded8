#!/usr/bin/env bash
# What a plugin feels of a neighbour that misbehaves: calls to echo at a constant rate, alone and beside a memory hog, an endless
# loop, a fork bomb, a flood of output and a plugin that is deaf to SIGTERM, each within its limits. Prints the latencies, and when
# and why the neighbour was ended. Ends with 0 only when no call failed, latencies stayed within BOUND, and each was gone in time.
# The programs are those of .build/release, or of the folder that is named.
set -uo pipefail
cd "$(dirname "$0")/.."

bin=$(cd "${1:-.build/release}" && pwd) || exit 2
seconds=${SECONDS_PER_PART:-8}
bound=${BOUND:-50000} # of the 99th percentile, in microseconds; on a machine that is busy already, five times what it is alone
alone=0
work=$(mktemp -d /tmp/wizmesh-neighbours.XXXXXX)
chmod 755 "$work" # plugins run as another user when this runs as root
unset WIZ_ENDPOINT WIZ_TICKET WIZ_NAME
export WIZ_RUN=$work/run
failures=0
mesh=
wiz=$bin/wiz

stop() {
    [ -z "$mesh" ] || { kill "$mesh" 2>/dev/null; wait "$mesh" 2>/dev/null; }
    mesh=
}
finish() {
    trap - EXIT INT TERM
    stop
    rm -rf "$work"
    [ $failures -eq 0 ] || exit 1
}
trap finish EXIT
trap 'failures=1; finish' INT TERM
until_true() { # SECONDS CONDITION
    local end=$((SECONDS + $1))
    until eval "$2"; do
        [ $SECONDS -lt $end ] || return 1
        read -rt 0.05 <> <(:) || true
    done
}
bad() { failures=$((failures + 1)) && printf '✗ %s\n' "$1"; }
field() { grep -oE "\"$1\":(\"[^\"]*\"|[0-9.]+)" | head -1 | sed -E 's/^"[^"]*"://; s/"//g'; }

for plugin in echo rogue-plugin; do
    mkdir -p "$work/$plugin/bin"
    cp "$(ls -d plugins/$plugin Tests/Fixtures/$plugin 2>/dev/null)/plugin.json" "$work/$plugin/"
    cp "$bin/$plugin" "$work/$plugin/bin/" || exit 2
done
chmod -R go+rX "$work/echo" "$work/rogue-plugin"

# Starts a mesh of echo and a rogue that behaves as it is told.
start() { # BEHAVIOUR
    stop
    rm -f "$work/ready"
    cat >"$work/mesh.yaml" <<END
mesh: neighbours
plugins:
  - path: echo
  - path: rogue-plugin
    environment: { ROGUE: "$1" }
    limits: { memoryMB: 128, cpuPercent: 50, pids: 32, openFiles: 256 }
END
    "$wiz" up --mesh "$work/mesh.yaml" --ready-file "$work/ready" >"$work/log" 2>&1 &
    mesh=$!
    until_true 30 '[ -f "$work/ready" ] || ! kill -0 $mesh 2>/dev/null'
    [ -f "$work/ready" ] || { bad "the mesh did not start" && tail -20 "$work/log"; exit 1; }
}
measure() { # NAME
    local ended
    "$wiz" bench echo.say --rate 500 --duration "${seconds}s" --json >"$work/bench" 2>&1 || bad "$1: calls to echo failed"
    ended=$(grep -cE '│ (! )?ended: ' "$work/log")
    printf '%-34s p50 %6s µs   p99 %6s µs   longest %7s µs   ended %s times\n' "$1" "$(field p50 <"$work/bench")" \
        "$(field p99 <"$work/bench")" "$(field max <"$work/bench")" "$ended"
    [ "$(field calls <"$work/bench")" -ge $((seconds * 450)) ] 2>/dev/null || bad "$1: fewer calls than were to be made"
    ninety_nine=$(field p99 <"$work/bench")
    [ "${ninety_nine:-999999999}" -le $((bound > 5 * alone ? bound : 5 * alone)) ] || bad "$1: p99 is out of bounds"
}
cause() { grep -E '│ (! )?ended: ' "$work/log" | tail -1 | sed 's/^/    /'; }
# Waits until the rogue has been ended once more than a number of times: `ended SECONDS NAME`.
ended() {
    until_true "$1" "grep -qE '│ (! )?ended: ' \"$work/log\"" || bad "$2: it was not ended within $1 s"
    cause
}

start serve && measure "alone" && alone=${ninety_nine:-0}
start memory:16 && measure "beside a memory hog" && ended 2 "the hog"
start bomb:1000 && measure "beside a fork bomb" && ended 5 "the bomb"
start flood:100000 && measure "beside a flood of output" && ended 5 "the flood"
# Where a control group holds it to its share of a core, it is let be; else the watchdog ends it.
start loop && measure "beside an endless loop"
"$wiz" plugins --json | grep -oE '\{[^{}]*"subject":"cpu"[^{}]*\}' | grep -q cgroup || ended 15 "the loop"
start deaf
(
    began=$(date +%s%N)
    "$wiz" plugin stop rogue-plugin >"$work/stop" 2>&1
    printf '%s' "$((($(date +%s%N) - began) / 1000000))" >"$work/stopped"
) &
stopping=$!
measure "beside one that is deaf to SIGTERM"
wait $stopping
ended 1 "the deaf one"
printf '    wiz plugin stop took %s ms\n' "$(cat "$work/stopped")"
[ "$(cat "$work/stopped")" -lt 9000 ] || bad "the deaf one was not gone in time"
start serve && measure "alone again"
[ $failures -eq 0 ] && printf 'neighbours: nobody was slowed beyond the bounds\n'
