#!/usr/bin/env bash
# Builds the release products that the demo and `make up` run.
set -euo pipefail
cd "$(dirname "$0")/.."

printf 'Building the mesh (the first time takes a few minutes) …\n' >&2
exec swift build -c release --product wizmesh-everything "$@"
