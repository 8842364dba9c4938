#!/usr/bin/env bash
# The sanity check of configs/mini: does pre-training speed up fine-tuning on rain, as a pilot saw?
#   bash tools/pilot.sh [PATCHES]
# PATCHES a batch: 16; take 8 where a step costs more than 0.4 s. One to several hours on a CPU,
# under work_dirs/pilot; called again it goes on where it was. Data: see configs/mini/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
patches=${1:-16}
work=work_dirs/pilot
config=configs/mini/pilot_dtir-unet-w32

# Trains a config under a name and seed, and tests it where it restores.
fit() { # name seed config updates [options]
  local run=$work/$1 seed=$2 config=$3 updates=$4
  shift 4
  [[ -f $run/iter_$updates.pth ]] || python tools/train.py "$config" --work-dir "$run" --resume \
    --cfg-options "train_dataloader.batch_size=$patches" "randomness.seed=$seed" "$@"
  [[ $config == *pretrain* || -f $run/test/summary.json ]] || python tools/test.py "$config" \
    "$run" --work-dir "$run/test" --method "$(basename "$run")"
}

fit pretrain 0 "${config}_pretrain_1xb16-6k.py" 6000
for seed in 0 1; do
  for arm in finetune mixing naive; do
    fit "${arm}_s$seed" "$seed" "${config}_${arm}_rainy_1xb16-2500.py" 2500 \
      "load_from=$work/pretrain"
  done
  fit "scratch_s$seed" "$seed" "${config}_scratch_rainy_1xb16-2500.py" 2500
done
fit scratch8500_s0 0 "${config}_scratch_rainy_1xb16-8500.py" 8500
python tools/summarize_pilot.py "$work" "$work/sanity_check.json"
