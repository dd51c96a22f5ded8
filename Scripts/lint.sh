#!/usr/bin/env bash
# What can be checked without building: format, import arrows, shell syntax, unfinished words, machine paths.
set -euo pipefail
cd "$(dirname "$0")/.."

folders=()
for folder in Sources Tests broker plugins templates Benchmarks/Sources; do [ -d "$folder" ] && folders+=("$folder"); done
swift format lint --strict --parallel --recursive "${folders[@]}" Package.swift Benchmarks/Package.swift
Scripts/check-imports.sh
for script in Scripts/*.sh .ci/run; do bash -n "$script"; done
if grep -rnE '\b(TODO|FIXME|XXX)\b' --include='*.swift' --include='*.sh' --include='*.md' --exclude=lint.sh "${folders[@]}" Scripts docs README.md; then
    echo "lint: finish it, or file an issue and take the word out" >&2
    exit 1
fi
# A handler that must be cancelled and the clock of a bounded wait may sleep; they say so.
if grep -rnE '(Task\.sleep|[^a-zA-Z]u?sleep)\(' Tests --include='*.swift' | grep -v '// allowed: '; then
    echo "lint: tests wait for events with a bound, they do not sleep" >&2
    exit 1
fi
echo "lint: clean"
