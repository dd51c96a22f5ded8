#!/usr/bin/env bash
# Two machines in one: a broker on loopback tcp, and a `wiz host` that reaches it by nothing else. Calls its sandboxed plugins,
# kills the broker with -9, starts another one, and sees them come back with new keys. Ends with 0 only when all of it held.
# The programs are those of .build/release, or of the folder that is named.
set -uo pipefail
cd "$(dirname "$0")/.."

bin=$(cd "${1:-.build/release}" && pwd) || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/wizmesh-host.XXXXXX")
unset WIZ_TICKET WIZ_NAME WIZ_INSTANCE RUNTIME_DIRECTORY STATE_DIRECTORY
export WIZ_RUN=$work/run XDG_RUNTIME_DIR=$work
failures=0
check() { if eval "$2"; then printf '✓ %s\n' "$1"; else failures=$((failures + 1)) && printf '✗ %s\n' "$1"; fi; }
until_true() { # SECONDS CONDITION
    local end=$((SECONDS + $1))
    until eval "$2"; do
        [ $SECONDS -lt $end ] || return 1
        read -rt 0.1 <> <(:) || true
    done
}
finish() {
    trap - EXIT INT TERM
    for process in ${host:-} ${broker:-}; do kill "$process" 2>/dev/null; done
    wait 2>/dev/null
    if [ $failures -ne 0 ]; then
        printf -- '-- the broker\n' && tail -20 "$work/broker.log"
        printf -- '-- the host\n' && tail -40 "$work/host.log"
    fi
    rm -rf "$work"
    [ $failures -eq 0 ] || exit 1
}
trap finish EXIT
trap 'failures=1; finish' INT TERM

for key in broker host operator; do
    "$bin/wiz" keys new --public "$work/$key.pub" "$work/$key.json" >/dev/null || exit 1
done
for plugin in echo ui; do
    mkdir -p "$work/plugins/$plugin/bin"
    cp "plugins/$plugin/plugin.json" "$work/plugins/$plugin/"
    cp "$bin/$plugin" "$work/plugins/$plugin/bin/"
done
mesh_file() { # PORT
    cat >"$work/mesh.yaml" <<EOF
mesh: two-machines
broker: { run: run, tcp: { listen: "127.0.0.1:$1", key: broker.json } }
principals:
  machine-b: { roles: [host], keyFile: host.pub }
  someone: { roles: [operator], keyFile: operator.pub }
  echo: { roles: [plugin] }
  ui: { roles: [plugin] }
rules:
  - { allow: echo, provide: echo }
  - { allow: ui, provide: ui, publish: ui.> }
EOF
}
start_broker() {
    rm -f "$work/broker.ready"
    "$bin/wiz" up --mesh "$work/mesh.yaml" --ready-file "$work/broker.ready" >>"$work/broker.log" 2>&1 &
    broker=$!
    until_true 20 '[ -f "$work/broker.ready" ] || ! kill -0 $broker 2>/dev/null' && [ -f "$work/broker.ready" ]
}
# Any free port; the second broker takes the same one.
mesh_file 0
check "the broker serves" start_broker
port=$(grep -oE 'tcp://127\.0\.0\.1:[0-9]+' "$work/broker.ready" | head -1 | grep -oE '[0-9]+$')
mesh_file "$port"

export WIZ_ENDPOINT=tcp://127.0.0.1:$port WIZ_SERVER_KEY_FILE=$work/broker.pub
WIZ_KEY_FILE=$work/host.json "$bin/wiz" host --name machine-b --ready-file "$work/host.ready" \
    "$work/plugins/echo" "$work/plugins/ui" >"$work/host.log" 2>&1 &
host=$!
export WIZ_KEY_FILE=$work/operator.json
check "the host's plugins are ready" 'until_true 30 "[ -f $work/host.ready ]" && grep -q "\"state\":\"ready\"" "$work/host.ready"'
call() { "$bin/wiz" call "$1" "$2" --connect-timeout 2s 2>/dev/null; }
check "a plugin that has no network answers over the relay" '[ "$(call echo.say "{\"text\":\"hi\"}")" = "{\"text\":\"hi\"}" ]'
check "its process has a session of its own name and label" '"$bin/wiz" sessions | grep -q "echo#1@1"'
check "the host is asked like any other" '"$bin/wiz" call host.machine-b.plugins {} | grep -q "\"plugin\":\"ui\""'

kill -9 $broker
wait $broker 2>/dev/null
check "another broker takes its place" start_broker
began=$(date +%s%N)
check "the plugins come back" \
    'until_true 30 "call echo.say {} >/dev/null || call echo.about {} >/dev/null" && until_true 30 "call ui.themes {} >/dev/null"'
printf '  after %d ms\n' $((($(date +%s%N) - began) / 1000000))
check "as new processes" '"$bin/wiz" sessions | grep -q "echo#1@2" && "$bin/wiz" sessions | grep -q "ui#1@2"'
check "and the host has said so" 'grep -q "the broker was started anew" "$work/host.log"'

kill $host
check "the host stops its plugins and leaves nothing" \
    'until_true 20 "! kill -0 $host 2>/dev/null" && [ ! -e "$work/wizmesh-host-machine-b" ] && ! pgrep -f "$work/plugins" >/dev/null'
