#!/usr/bin/env bash
# Starts a mesh of real processes and walks through what it can do, in colour. Every step checks what it shows: the script
# ends with 0 only when all did what they say.
set -uo pipefail
cd "$(dirname "$0")/.."

wiz=$PWD/.build/release/wiz
work=$(mktemp -d "${TMPDIR:-/tmp}/wizmesh-demo.XXXXXX")
export WIZ_RUN=$work/run
unset WIZ_ENDPOINT WIZ_TICKET
failures=0
steps=0

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' blue=$'\e[36m' plain=$'\e[0m'
else
    bold='' dim='' green='' red='' blue='' plain=''
fi

title() { steps=$((steps + 1)); printf '\n%s%d. %s%s\n' "$bold" "$steps" "$1" "$plain"; }
say() { printf '%s   %s%s\n' "$dim" "$1" "$plain"; }
good() { printf '%s   ✓ %s%s\n' "$green" "$1" "$plain"; }
bad() {
    failures=$((failures + 1))
    printf '%s   ✗ %s%s\n' "$red" "$1" "$plain"
}
check() { if eval "$2"; then good "$1"; else bad "$1"; fi; }
show() { sed 's/^/     /' <<<"$1"; }

# Runs a command as a person would type it; its output is shown and kept in $output, its exit code in $code.
run() {
    printf '%s   $ wiz' "$blue"
    printf ' %s' "${@@Q}" | sed "s/'\([a-zA-Z0-9@^_.=:-]*\)'/\1/g"
    printf '%s\n' "$plain"
    output=$("$wiz" "$@" 2>&1)
    code=$?
    show "$output"
}

finish() {
    trap - EXIT INT TERM
    if [ -n "${mesh:-}" ]; then
        kill -TERM "$mesh" 2>/dev/null
        wait "$mesh" 2>/dev/null
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'finish; exit 130' INT TERM

# Waits up to a bound for a condition: `until_true SECONDS CONDITION`.
until_true() {
    local end=$((SECONDS + $1))
    until eval "$2"; do
        [ $SECONDS -lt $end ] || return 1
        read -rt 0.05 <> <(:) || true
    done
}
field() { grep -oE "\"$1\":(\"[^\"]*\"|[0-9]+)" | head -1 | sed -E 's/^"[^"]*"://; s/"//g'; }
milliseconds() { printf '%s' $(($(date +%s%N) / 1000000)); }

printf '%sWizmesh: a plugin mesh on real processes%s\n' "$bold" "$plain"
say "A broker and nine plugin processes start; every line below comes from them."

title "Start: one command, the broker and its plugins, each a process of its own"
began=$(milliseconds)
"$wiz" up --mesh Scripts/demo/mesh.yaml --ready-file "$work/ready" >"$work/log" 2>&1 &
mesh=$!
if ! until_true 30 '[ -f "$work/ready" ] || ! kill -0 $mesh 2>/dev/null' || [ ! -f "$work/ready" ]; then
    bad "the mesh did not become ready"
    show "$(tail -30 "$work/log")"
    exit 1
fi
good "ready after $(($(milliseconds) - began)) ms"

title "Discovery: who is there, and what they offer"
run plugins
check "nine plugin processes are registered" '[ "$(grep -cE "^(echo|ngram-llm|ui|midnight|filesystem|sandbox)" <<<"$output")" -eq 9 ]'
run services
check "services with versions and methods are listed" 'grep -q "echo" <<<"$output" && grep -q "2.1.0" <<<"$output"'

title "A call: JSON in, JSON out, with where the time went"
run call 'echo@^1.say' '{"text":"hello, mesh"}' --timing
check "the echo came back" '[ $code -eq 0 ] && grep -q "hello, mesh" <<<"$output"'

title "A token stream: a small language model answers, token by token"
printf '%s   $ wiz call llm.chat … --stream%s\n     ' "$blue" "$plain"
"$wiz" call llm.chat '{"messages":[{"role":"user","content":"How do I find a bug?"}],"seed":7,"maxTokens":40}' --stream 2>&1 | tee "$work/answer"
printf '\n'
check "the model said something" '[ "$(wc -w <"$work/answer")" -ge 5 ]'

title "Load over two workers: the broker gives each what it can take"
run bench llm.complete --stream --window 4 --duration 3s --payload '{"prompt":"The broker","maxTokens":8}'
check "the load ran without a failure" '[ $code -eq 0 ]'
say "four streams at once; which session answered each:"
streams=()
for number in 1 2 3 4; do
    "$wiz" call llm.complete '{"prompt":"The broker","maxTokens":12}' --stream --json --timing >"$work/stream.$number" 2>&1 &
    streams+=($!)
done
wait "${streams[@]}"
providers=$(cat "$work"/stream.* | grep -oE '"provider":[0-9]+' | sort | uniq -c)
show "$providers"
check "both workers of the model shared the load" '[ "$(wc -l <<<"$providers")" -eq 2 ]'

title "A missed deadline: the caller is told which clock ran out, and the worker's task ends"
run call echo.sleep '{"milliseconds":60000}' --deadline 300ms
check "it failed with the deadline's exit code" '[ $code -eq 6 ] && grep -qi "deadline" <<<"$output"'
check "the worker's task was cancelled" 'until_true 5 "grep -q \"sleep was cancelled\" \"$work/log\""'
show "$(grep 'sleep was cancelled' "$work/log" | tail -1)"

title "A refused permission, with its explanation"
ticket=$("$wiz" ticket guest 2>/dev/null)
printf '%s   $ WIZ_TICKET=… wiz call filesystem-access.read …      (as the principal "guest")%s\n' "$blue" "$plain"
output=$(WIZ_TICKET=$ticket "$wiz" call filesystem-access.read '{"path":"notes.txt"}' --name guest 2>&1)
code=$?
show "$output"
check "guest may not: the missing permission is named" '[ $code -eq 5 ] && grep -q "storage" <<<"$output"'
run explain guest filesystem-access.read
check "and wiz explain says what would grant it" 'grep -q "permissions" <<<"$output"'

title "Two versions side by side: each caller gets its own"
run call 'echo@^1.about'
check "^1 is answered by 1.x" 'grep -qE "\"version\": *\"1\." <<<"$output"'
run call 'echo@^2.about'
check "^2 is answered by 2.1.0" 'grep -qE "\"version\": *\"2\.1\.0\"" <<<"$output"'
run call 'echo@^3.about'
check "^3 fails, and the error lists what there is" '[ $code -eq 4 ] && grep -q "2.1.0" <<<"$output"'

title "An event, seen live by whoever watches"
"$wiz" sub 'ui.>' --count 1 --timeout 10s >"$work/event" 2>&1 &
watcher=$!
until_true 10 '"$wiz" metrics --json 2>/dev/null | grep -q . && [ -n "$("$wiz" sessions --json | grep -oE "\"subscriptions\":[1-9]")" ]'
run call ui.selectTheme '{"name":"midnight"}'
wait $watcher
show "$(cat "$work/event")"
check "the subscriber saw the theme change" 'grep -q "ui.theme" "$work/event"'

title "A worker is killed with -9 in the middle of a call: its caller knows at once"
"$wiz" call 'echo@^2.sleep' '{"milliseconds":30000}' --deadline 30s >"$work/killed" 2>&1 &
caller=$!
until_true 10 '"$wiz" calls --json | grep -q "\"sleep\""'
victim=$("$wiz" sessions --json | grep -oE '\{[^{}]*"name":"echo-next"[^{}]*\}' | field process)
say "kill -9 $victim"
kill -9 "$victim"
began=$(milliseconds)
wait $caller
code=$?
took=$(($(milliseconds) - began))
show "$(cat "$work/killed")"
check "the caller was told after $took ms that the outcome is unknown" '[ $code -eq 7 ] && [ $took -lt 500 ]'
check "and the plugin is back" 'until_true 10 "\"$wiz\" call echo@^2.about >/dev/null 2>&1"'

title "A crash: the cause with its last words, and the plugin is back"
run call sandbox-probe.crash
check "the caller is told at once" '[ $code -eq 7 ] && grep -q "the worker was lost" <<<"$output"'
check "the host tells the cause, with the signal" 'until_true 5 "grep -qE \"sandbox-probe.* ended: .*SIG[A-Z]+\" \"$work/log\""'
show "$(grep -E 'sandbox-probe.* ended: ' "$work/log" | tail -1)"
check "the host started it again" 'until_true 10 "\"$wiz\" call sandbox-probe.about >/dev/null 2>&1"'
run logs sandbox-probe --lines 8
check "its last words are kept" 'grep -q "crashing, as it was told to" <<<"$output"'

title "A hot reload under load: the next generation takes over and no call is lost"
say "2000 calls a second to echo, while it is reloaded three times:"
"$wiz" bench 'echo@^1.about' --rate 2000 --duration 4s --json >"$work/load" 2>&1 &
load=$!
until_true 10 '"$wiz" metrics 2>/dev/null | grep -q "echo.about"'
for number in 1 2 3; do
    run reload echo
    check "reload $number: the next generation serves" '[ $code -eq 0 ]'
done
wait $load
code=$?
calls=$(field calls <"$work/load")
lost=$(grep -oE '"failures":\{[^}]*\}' "$work/load" | grep -oE ':[0-9]+' | tr -d : | awk '{ sum += $1 } END { print sum + 0 }')
check "$calls calls, ${lost:=0} lost" '[ $code -eq 0 ] && [ "$lost" -eq 0 ] && [ "${calls:-0}" -gt 4000 ]'

title "A sandbox: the kernel stops a plugin that tries the network and its neighbour's files"
run call sandbox-probe.about
check "it has no capabilities and sees no process but its own" 'grep -q "\"capabilities\": *\"0*\"" <<<"$output" && [ "$(grep -oE "\"processes\": *\[[^]]*\]" <<<"$output" | grep -oE "[0-9]+" | wc -l)" -le 3 ]'
run call sandbox-probe.connect '{"address":"192.0.2.1","port":80}'
check "no network" 'grep -qE "\"allowed\": *false" <<<"$output"'
run call sandbox-probe.open "{\"path\":\"$PWD/plugins/filesystem-access/plugin.json\"}"
check "no file of its neighbour" 'grep -qE "\"allowed\": *false" <<<"$output"'
run call sandbox-probe.open '{"path":"/plugin/new","write":true}'
check "nothing written in its own folder" 'grep -qE "\"allowed\": *false" <<<"$output"'

title "A limit: a plugin that takes more memory than it may have is ended, its neighbours go on"
run call sandbox-probe.hog '{"megabytes":1500}'
check "its caller is told" '[ $code -eq 7 ]'
check "the host knows the cause: its memory limit" 'until_true 5 "\"$wiz\" plugins --json | grep -q \"memory limit\""'
show "$(grep 'sandbox-probe.*ended' "$work/log" | tail -1)"
check "and echo still answers" '"$wiz" call "echo@^1.about" >/dev/null 2>&1'

title "Stop: plugins in reverse order, then the broker"
kill -TERM "$mesh"
wait "$mesh"
code=$?
mesh=
check "everything stopped in good order" '[ $code -eq 0 ]'

printf '\n'
if [ $failures -eq 0 ]; then
    printf '%s%sAll %d steps did what they say.%s Next: make up, and in another terminal: wiz services\n' "$bold" "$green" "$steps" "$plain"
else
    printf '%s%s%d checks failed.%s The log of the mesh was %s\n' "$bold" "$red" "$failures" "$plain" "shown where it mattered"
    exit 1
fi
