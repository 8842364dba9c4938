#!/usr/bin/env bash
# Builds the documentation site: tools/build_docs.sh [FOLDER], by default build/docs. A link or a
# reference that leads nowhere is an error. Needs Python 3.11.
set -euo pipefail
out=$(realpath -m "${1:-$(dirname "${BASH_SOURCE[0]}")/../build/docs}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh --tests
echo '[docs] building: one to two minutes'
python -m sphinx -b html -n -W --keep-going -E -q -c docs -d build/doctrees . "$out"
echo "written: $out/index.html"
