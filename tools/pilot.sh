#!/usr/bin/env bash
# The sanity check of configs/mini: does pre-training speed up fine-tuning on rain, as in a pilot?
#   bash tools/pilot.sh [PATCHES]
# PATCHES is the batch size, by default 16; take 8 if a step takes more than 0.4 s. It runs for one to
# several hours on a CPU, in work_dirs/pilot; a second call continues. Data: configs/mini/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
patches=${1:-16}
if (($# > 1)) || [[ ! $patches =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: bash tools/pilot.sh [PATCHES]    (the batch size, by default 16)" >&2
  exit 2
fi
work=work_dirs/pilot
config=configs/mini/pilot_dtir-unet-w32

# Trains a config with a seed, and tests it unless it is a pre-training.
fit() { # name seed config updates [options]
  local run=$work/$1 seed=$2 config=$3 updates=$4
  shift 4
  [[ -f $run/iter_$updates.pth ]] || python tools/train.py "$config" --work-dir "$run" --resume \
    --cfg-options "global_batch_size=$patches" "randomness.seed=$seed" "$@"
  [[ $config == *pretrain* || -f $run/test/summary.json ]] || python tools/test.py "$config" \
    "$run" --work-dir "$run/test" --method "$(basename "$run")"
}

fit pretrain 0 "${config}_pretrain_b16-6k.py" 6000
for seed in 0 1; do
  for arm in finetune mixing naive; do
    fit "${arm}_s$seed" "$seed" "${config}_${arm}_rainy_b16-2500.py" 2500 \
      "load_from=$work/pretrain"
  done
  fit "scratch_s$seed" "$seed" "${config}_scratch_rainy_b16-2500.py" 2500
done
fit scratch8500_s0 0 "${config}_scratch_rainy_b16-2500.py" 8500 \
  train_cfg.max_iters=8500 train_cfg.val_interval=8500
python tools/summarize_pilot.py "$work" "$work/sanity_check.json"
