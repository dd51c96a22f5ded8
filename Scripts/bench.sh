#!/usr/bin/env bash
# Builds the benchmarks in release mode and runs them: the mesh next to a bare relay and, when it is installed, NATS.
#   Scripts/bench.sh [--json] [--check] [--only process,core,wire] [--rounds 5] [--milliseconds 350]
# --check ends with 1 when a target is missed. NATS is measured when nats-server and libnats-dev are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

say() { printf 'bench: %s\n' "$*" >&2; }

say "building (release) …"
# The runtime inside, as in the programs that Scripts/build.sh makes.
swift build --package-path Benchmarks -c release --static-swift-stdlib --product mesh-bench >&2
binary=$(swift build --package-path Benchmarks -c release --show-bin-path)/mesh-bench
native=$root/Benchmarks/.build/native
mkdir -p "$native"

arguments=()
compiler=$(command -v cc || command -v clang || true)
if [ -z "$compiler" ]; then
    say "no C compiler: allocations and NATS are left out (apt-get install gcc)"
else
    "$compiler" -O2 -Wall -Wextra -shared -fPIC Benchmarks/Native/allocation-counter.c -o "$native/allocation-counter.so"
    arguments+=(--allocation-counter "$native/allocation-counter.so")
    if ! command -v nats-server >/dev/null || [ ! -e /usr/include/nats/nats.h ]; then
        say "NATS is left out: apt-get install nats-server libnats-dev"
    elif "$compiler" -O2 -Wall -Wextra Benchmarks/Native/nats-bench.c -o "$native/nats-bench" -lnats -lpthread; then
        arguments+=(--nats-driver "$native/nats-bench")
    fi
fi

exec "$binary" "${arguments[@]}" "$@"
