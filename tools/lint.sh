#!/usr/bin/env bash
# Lint, format and types; tools/run_tests.sh begins with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh --tests
ruff check .
ruff format --check .
mypy
