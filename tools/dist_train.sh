#!/usr/bin/env bash
# Trains a config on several processes of this node, or of several nodes.
#   tools/dist_train.sh CONFIG PROCESSES_PER_NODE [arguments of dtir-mm train]
# Several nodes: call it on each, with NNODES, NODE_RANK and MASTER_ADDR set (MASTER_PORT: 29500).
set -euo pipefail
if (($# < 2)); then
  echo "usage: $0 CONFIG PROCESSES_PER_NODE [arguments of dtir-mm train]" >&2
  exit 2
fi
config=$1
processes=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/arguments.sh"
require_config "$config"
require_count PROCESSES_PER_NODE "$processes"
# mmengine imports yapf 0.43, which moves a new grammar cache into place before it is written: if
# several processes start together in a new home, one may read an empty file. Write it beforehand.
python -c 'import mmengine.config'
exec python -m torch.distributed.run \
  --nnodes="${NNODES:-1}" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --master_port="${MASTER_PORT:-29500}" \
  --nproc_per_node="$processes" \
  "$here/train.py" "$config" --launcher pytorch "$@"
