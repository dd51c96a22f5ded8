#!/usr/bin/env bash
# Every check and every test, as CI runs them: lint, a build in which warnings are errors, the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "lint"
Scripts/lint.sh
step "build (debug, warnings are errors)"
swift build --build-tests -Xswiftc -warnings-as-errors
step "golden vectors match the specification"
python3 Scripts/make-vectors.py --check
step "wiz new has the templates as they stand"
Scripts/embed-templates.py --check
step "tests"
# Each target in a process of its own: several count the process's descriptors and threads, and some block a thread.
failed=()
for target in ${1:-$(ls Tests | grep 'Tests$')}; do
    printf -- '-- %s\n' "$target"
    timeout 300 swift test --skip-build -Xswiftc -warnings-as-errors --filter "^$target\\." || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
    printf '\ntest: failed: %s\n' "${failed[*]}" >&2
    exit 1
fi
if [ $# -eq 0 ]; then
    step "templates: made, built, tested, run"
    Scripts/try-templates.sh
fi
printf '\ntest: everything passed\n'
