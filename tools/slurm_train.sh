#!/usr/bin/env bash
# Trains a config on a Slurm cluster: one torchrun per node, one process per GPU.
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=...] [SRUN_ARGS="..."] \
#     tools/slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [arguments of dtir-mm train]
# GPUS is the number over all nodes. CPUS_PER_TASK is per GPU: 5 by default, four of them to load
# data. SRUN_ARGS are further arguments of srun, e.g. "--time=24:00:00 --quotatype=spot".
set -euo pipefail
if (($# < 3)); then
  echo "usage: [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...]" \
    "$0 PARTITION JOB_NAME CONFIG [WORK_DIR] [arguments of dtir-mm train]" >&2
  exit 2
fi
partition=$1
job_name=$2
config=$3
shift 3
work_dir=()
if (($#)) && [[ $1 != -* ]]; then
  work_dir=(--work-dir "$1")
  shift
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/arguments.sh"
require_config "$config"
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
require_count GPUS "$gpus"
require_count GPUS_PER_NODE "$per_node"
require_count CPUS_PER_TASK "${CPUS_PER_TASK:-5}"
((gpus >= per_node)) || per_node=$gpus
if ((gpus % per_node)); then
  echo "$0: GPUS=$gpus must be a multiple of GPUS_PER_NODE=$per_node" >&2
  exit 2
fi
# Runs on each node: Slurm sets its rank and the first node. Jobs that share a node need different
# ports.
# shellcheck disable=SC2016
on_node='
export NNODES=$SLURM_NNODES NODE_RANK=$SLURM_NODEID
MASTER_ADDR=${MASTER_ADDR:-$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)}
export MASTER_ADDR MASTER_PORT=${MASTER_PORT:-$((29500 + SLURM_JOB_ID % 1000))}
exec "$0" "$@"'
# shellcheck disable=SC2086
exec srun \
  --partition="$partition" \
  --job-name="$job_name" \
  --nodes=$((gpus / per_node)) \
  --ntasks-per-node=1 \
  --gres="gpu:$per_node" \
  --cpus-per-task=$((${CPUS_PER_TASK:-5} * per_node)) \
  --kill-on-bad-exit=1 \
  ${SRUN_ARGS:-} \
  bash -c "$on_node" "$here/dist_train.sh" "$config" "$per_node" "${work_dir[@]}" "$@"
