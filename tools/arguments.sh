#!/usr/bin/env bash
# Sourced by scripts that start processes, each of which would end with a traceback of its own.

# Ends the script unless a value is a positive integer.
require_count() { # name value
  [[ $2 =~ ^[1-9][0-9]*$ ]] && return
  echo "$0: $1 must be a positive integer, got '$2'" >&2
  exit 2
}

# Ends the script unless a config exists: a path, or a name of `dtir-mm configs`.
require_config() { # config
  local name=${1#configs/}
  [[ -f $1 || -f "$(dirname "${BASH_SOURCE[0]}")/../configs/${name%.py}.py" ]] && return
  echo "$0: no such config: $1; \`dtir-mm configs\` lists those of dtir_mm" >&2
  exit 2
}
