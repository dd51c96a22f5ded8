#!/usr/bin/env bash
# Installs what the build needs and the machine lacks. Says what it does; needs root or sudo only when something is missing.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

if ! command -v swift >/dev/null 2>&1; then
    say "setup: no Swift toolchain on PATH."
    say "       Wizmesh needs Swift 6.2 or newer; see https://www.swift.org/install/linux/ and run this again."
    exit 1
fi

missing=()
command -v pkg-config >/dev/null 2>&1 || missing+=(pkg-config)
if ! pkg-config --exists libzmq 2>/dev/null; then missing+=(libzmq3-dev); fi
# Plugins run in sandboxes of bubblewrap's. Everything builds without it.
command -v bwrap >/dev/null 2>&1 || missing+=(bubblewrap)
for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

# Ends with a failure unless bubblewrap alone is missing: the build goes on without it.
needed() {
    if [ "${missing[*]}" = bubblewrap ]; then
        say "setup: going on without bubblewrap: plugins start only with \`enforcement: prefer\` or \`off\` until it is there."
        exit 0
    fi
    exit 1
}

if ! command -v apt-get >/dev/null 2>&1; then
    say "setup: please install ${missing[*]} with your system's package manager, then run this again."
    needed
fi
if [ "$(id -u)" -eq 0 ]; then
    root=()
elif command -v sudo >/dev/null 2>&1; then
    root=(sudo)
else
    say "setup: ${missing[*]} must be installed, which needs root: apt-get install -y ${missing[*]}"
    needed
fi
say "setup: installing ${missing[*]}"
if ! "${root[@]}" apt-get update -qq ||
    ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
    say "setup: installing ${missing[*]} failed; see above."
    needed
fi
