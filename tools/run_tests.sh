#!/usr/bin/env bash
# Lint, format, types and tests; arguments go to pytest, e.g. tools/run_tests.sh -k schedule -n 8
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/lint.sh
# Two workers for the tests that wait for a process of their own; one thread each.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python -m pytest -q -n 2 "$@"
