#!/usr/bin/env bash
# Makes a plugin of each template, builds it, runs its test, starts it with `wiz` and calls it, and checks that it conforms.
# The first one is treated as its author would, down to `wiz dev`; its build folder serves the others, too, so that the mesh is
# compiled once. WIZ names the program; default: the debug build's.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
wiz=${WIZ:-$(swift build --show-bin-path)/wiz}
[ -x "$wiz" ] || { echo "try-templates: $wiz is not built" >&2; exit 1; }

work=$(mktemp -d /tmp/wiz-templates-XXXXXX)
chmod 755 "$work" # plugins run as another user when this runs as root
mesh=
finish() {
    [ -z "$mesh" ] || { kill "$mesh" 2>/dev/null && wait "$mesh" 2>/dev/null; } || true
    rm -rf "$work"
}
trap finish EXIT
say() { printf '\n-- %s (%s s)\n' "$*" "$SECONDS"; }
export WIZ_RUN="$work/run" WIZ_ENDPOINT="ipc://$work/run/mesh.sock"
build=$work/night-owl/.build

# Starts a mesh with the words after `wiz` and waits, at most five minutes (dev builds), until it is ready.
start() {
    (cd "$work" && exec "$wiz" "$@" --ready-file "$work/ready" >"$work/log" 2>&1) &
    mesh=$!
    for _ in $(seq 3000); do
        [ ! -e "$work/ready" ] || return 0
        kill -0 "$mesh" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/log" >&2
    return 1
}
stop() {
    kill "$mesh"
    wait "$mesh" || { cat "$work/log" >&2; return 1; }
    mesh=
    rm -f "$work/ready"
}
# Builds a plugin, runs its test, and puts its program where its plugin.json says it is.
make_plugin() {
    local template=$1 name=$2
    say "$template: make, build, test"
    (cd "$work" && "$wiz" new "$name" --template "$template" --path-to-wizmesh "$root" >/dev/null)
    "$wiz" validate "$work/$name"
    (cd "$work/$name" && swift test --scratch-path "$build" 2>&1 | tail -n 4)
    if [ "$build" != "$work/$name/.build" ]; then
        swift build --package-path "$work/$name" --scratch-path "$build" --product "$name" 2>&1 | tail -n 1
        mkdir -p "$work/$name/.build/debug"
        cp "$build/debug/$name" "$work/$name/.build/debug/$name"
    fi
}

make_plugin service night-owl
say "service: dev, call"
start dev "$work/night-owl"
"$wiz" validate --built "$work/night-owl"
[ "$("$wiz" call night-owl.greet '{"name":"Ada"}')" = '"Hello, Ada!"' ]
stop
"$wiz" conformance "$work/night-owl"

make_plugin llm day-owl
say "llm: run, call"
start up "$work/day-owl"
[ "$("$wiz" call day-owl.complete '{"prompt":"all is"}' --stream --json | head -n 1)" = '{"chunk":{"text":" well"}}' ]
stop
"$wiz" conformance "$work/day-owl"

make_plugin ui-theme owl-theme
say "ui-theme: run"
start up "$work/owl-theme"
"$wiz" plugins | grep -q owl-theme
stop
"$wiz" conformance "$work/owl-theme"

say "nothing is overwritten"
if (cd "$work" && "$wiz" new night-owl --path-to-wizmesh "$root" 2>/dev/null); then exit 1; fi
ln -s "$wiz" "$work/create-project-wiz-plugin"
"$work/create-project-wiz-plugin" barn-owl --dry-run --path-to-wizmesh "$root" >/dev/null
[ ! -e barn-owl ]
printf '\ntry-templates: every template builds, passes its test and runs (%s s)\n' "$SECONDS"
