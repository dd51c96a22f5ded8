#!/usr/bin/env bash
# Puts what Scripts/build.sh built into a folder as images take it: bin/ with the programs, plugins/NAME/ with what each
# plugin needs to run and none of its sources.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 1 ] || {
    echo "stage: name the folder to fill, such as: Scripts/stage.sh /out" >&2
    exit 2
}
out=$1
products=$(swift build -c "${CONFIG:-release}" --show-bin-path)
mkdir -p "$out/bin" "$out/plugins"
install -s -m 0755 "$products/wiz" "$products/wizmesh-broker" "$out/bin/"
for manifest in plugins/*/plugin.json; do
    folder=${manifest%/plugin.json}
    name=${folder#plugins/}
    mkdir -p "$out/plugins/$name/bin"
    tar -C "$folder" --exclude=./Sources --exclude=./Tests --exclude=./bin --exclude=./data --exclude=./.build -c . |
        tar -C "$out/plugins/$name" --no-same-owner -x
    install -s -m 0755 "$products/$name" "$out/plugins/$name/bin/$name"
done
chmod -R a+rX "$out"
