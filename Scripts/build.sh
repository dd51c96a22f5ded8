#!/usr/bin/env bash
# Builds what the demo and `make up` run, in one go, and puts each plugin's program where its plugin.json says it is.
# CONFIG=debug builds the debug products.
set -euo pipefail
cd "$(dirname "$0")/.."
config=${CONFIG:-release}

printf 'Building the mesh (the first time takes a few minutes) …\n' >&2
# The runtime inside each program: plugins start sooner, take less memory, and run where no toolchain is.
swift build -c "$config" --static-swift-stdlib "$@"
products=$(swift build -c "$config" --show-bin-path)
for manifest in plugins/*/plugin.json; do
    folder=${manifest%/plugin.json}
    name=${folder#plugins/}
    mkdir -p "$folder/bin"
    # A link takes no room; across file systems it must be a copy. The old name is replaced, since it may be running.
    rm -f "$folder/bin/$name"
    ln "$products/$name" "$folder/bin/$name" 2>/dev/null || cp "$products/$name" "$folder/bin/$name"
done
# The same program under the name by which people look for it.
ln -sfn wiz "$products/create-project-wiz-plugin"
