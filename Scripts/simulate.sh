#!/usr/bin/env bash
# Runs the seeded simulation of the broker: simulate.sh COUNT; FIRST=seed replays from a seed.
set -euo pipefail
cd "$(dirname "$0")/.."
export WIZ_SEEDS="${1:-20000}" WIZ_FIRST_SEED="${FIRST:-1}"
printf 'Simulating %s seeds from %s …\n' "$WIZ_SEEDS" "$WIZ_FIRST_SEED" >&2
exec swift test -Xswiftc -warnings-as-errors --filter MeshSimulationTests
