#!/usr/bin/env bash
# Sets up the Python environment of dtir_mm, in the active virtual environment or in .venv.
#   tools/setup_env.sh [--tests]           installs, and prints how to activate it
#   source tools/setup_env.sh [--tests]    installs, and activates it
# --tests adds the requirements of the tests. $PYTHON is the interpreter of a new .venv (python3).
# A second run takes seconds: a stamp in the environment records what it was made from.

if [[ "${BASH_SOURCE[0]}" != "$0" ]]; then
  # Sourced without arguments, a script gets its caller's; all but --tests are ignored.
  bash "${BASH_SOURCE[0]}" $([[ "${1-}" != --tests ]] || echo --tests) || return 1
  if [[ -z "${VIRTUAL_ENV:-}" ]]; then
    source "$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/activate"
  fi
  return 0
fi

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "$*" in
  '') flavour=runtime ;;
  --tests) flavour=tests ;;
  *) echo "usage: $0 [--tests]" >&2; exit 2 ;;
esac

check_python() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && return
  echo "setup_env: dtir_mm needs Python 3.10 or newer; $1 is $("$1" --version 2>/dev/null || echo missing)." \
    "Set another: PYTHON=/path/to/python3 $0" >&2
  exit 1
}

venv=${VIRTUAL_ENV:-$PWD/.venv}
if [[ ! -x "$venv/bin/python" ]]; then
  check_python "${PYTHON:-python3}"
  echo "[env] creating $venv"
  "${PYTHON:-python3}" -m venv "$venv"
fi
python=$venv/bin/python
check_python "$python"

# Another checkout would stop working, or would silently run the code of this one.
require_own() {
  local other
  other=$("$python" - <<'PY'
import json, os
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit
try:
    origin = json.loads(distribution('dtir_mm').read_text('direct_url.json') or '{}')
except PackageNotFoundError:
    origin = {}
folder = unquote(urlsplit(origin.get('url', '')).path)
if origin.get('dir_info', {}).get('editable') and os.path.isdir(folder):
    print('' if os.path.samefile(folder, '.') else folder)
PY
  )
  [[ -z "$other" ]] && return
  echo "setup_env: $venv has dtir_mm of the checkout $other installed, which this would replace. Leave that" \
    "environment (deactivate) to get one in .venv, or take it over: $python -m pip uninstall dtir_mm" >&2
  exit 1
}
require_own

# The installed version of a package if it is in [low, high), otherwise nothing.
installed() {
  "$python" - "$@" <<'PY'
import re, sys
from importlib.metadata import PackageNotFoundError, version
def numbers(text):
    return [int(n) for n in re.findall(r'\d+', text)[:2]]
package, low, high = sys.argv[1:]
try:
    if numbers(low) <= numbers(version(package)) < numbers(high):
        print(version(package))
except PackageNotFoundError:
    pass
PY
}

# mmagic is installed without its requirements, about which pip would warn at every step.
pip_install() {
  "$python" -m pip install --quiet --disable-pip-version-check --no-warn-conflicts "$@"
}

install_torch() {
  local present
  present=$(installed torch 2.6 3.0)
  if [[ -n "$present" ]]; then
    echo "[env] torch $present is installed"
    pip_install "torch==$present" torchvision
  else
    echo "[env] torch 2.14.1 (1 to 2 minutes; the CUDA build of PyPI takes 5.5 GB)"
    pip_install torch==2.14.1 torchvision==0.29.1
  fi
}

install_mm() {
  local wanted=requirements/mminstall.txt
  if [[ -n "$(installed mmcv 2.0 2.2)" ]]; then
    echo '[env] mmengine, mmagic; mmcv is installed'
    pip_install $(grep '^mmengine' "$wanted")
  else
    echo '[env] mmengine, mmcv-lite, mmagic'
    pip_install -r "$wanted"
  fi
  pip_install --no-deps mmagic==1.2.0
}

check_opencv() {
  "$python" -c 'import cv2' 2>/dev/null && return
  echo '[env] opencv-python cannot be loaded (no libGL?): installing opencv-python-headless instead'
  "$python" -m pip uninstall --quiet --yes opencv-python
  pip_install --force-reinstall --no-deps opencv-python-headless
  "$python" -c 'import cv2'
}

# Tests of pages are skipped without a browser.
install_chromium() {
  command -v chromium chromium-browser google-chrome >/dev/null && return
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    echo '[env] Chromium, for the tests of pages'
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium; } >/dev/null && return
  fi
  echo '[env] no Chromium: tests of pages will be skipped (apt-get install chromium)'
}

stamp=$venv/dtir_mm-$flavour.stamp
made_from=$({ cat requirements/*.txt setup.py tools/setup_env.sh; "$python" --version; pwd; } | cksum)
if [[ -f "$stamp" && "$(cat "$stamp")" == "$made_from" ]]; then
  echo "[env] $venv is up to date"
else
  install_torch
  echo '[env] runtime requirements'
  pip_install 'setuptools>=70.1' -r requirements/runtime.txt
  install_mm
  check_opencv
  if [[ "$flavour" == tests ]]; then
    echo '[env] test requirements'
    pip_install -r requirements/tests.txt
    install_chromium
  fi
  echo '[env] dtir_mm itself'
  pip_install --no-deps --no-build-isolation -e .
  "$python" -c 'import dtir_mm'
  echo "$made_from" >"$stamp"
fi
# Before several processes import it, such as those of the tests: see dist_train.sh. Its cache is in the
# home directory, which the stamp does not cover.
"$python" -c 'import mmengine.config'
echo "[env] ready; activate it with: source $venv/bin/activate"
