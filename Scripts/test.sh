#!/usr/bin/env bash
# Every check and every test, as CI runs them: lint, a build in which warnings are errors, the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "lint"
Scripts/lint.sh
step "build (debug, warnings are errors)"
swift build --build-tests -Xswiftc -warnings-as-errors
step "tests"
swift test --skip-build -Xswiftc -warnings-as-errors "$@"
