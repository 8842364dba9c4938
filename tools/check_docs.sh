#!/usr/bin/env bash
# Checks that docs/ agree with the code: the generated pages, every name and value in the others, and
# that the site builds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh --tests
python -m pytest -q tests/test_*_page.py tests/test_site.py tests/config/test_schema.py
