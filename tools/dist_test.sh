#!/usr/bin/env bash
# Tests a checkpoint on several processes of this node, or of several nodes.
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES_PER_NODE [arguments of dtir-mm test]
# Several nodes: call it on each, with NNODES, NODE_RANK and MASTER_ADDR set (MASTER_PORT: 29500).
set -euo pipefail
if (($# < 3)); then
  echo "usage: $0 CONFIG CHECKPOINT PROCESSES_PER_NODE [arguments of dtir-mm test]" >&2
  exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/arguments.sh"
require_config "$config"
require_count PROCESSES_PER_NODE "$processes"
if [[ ! -e $checkpoint ]]; then
  echo "$0: no such checkpoint: $checkpoint" >&2
  exit 2
fi
# Fills yapf's cache: see dist_train.sh.
python -c 'import mmengine.config'
exec python -m torch.distributed.run \
  --nnodes="${NNODES:-1}" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --master_port="${MASTER_PORT:-29500}" \
  --nproc_per_node="$processes" \
  "$here/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
