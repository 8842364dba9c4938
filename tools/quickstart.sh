#!/usr/bin/env bash
# From nothing to a table: installs, collects photographs, pre-trains a small network, finds the
# matching time steps of noise and low light, fine-tunes, trains the same network from scratch, tests.
#   bash tools/quickstart.sh [--photos DIR]
# Everything lies under work_dirs/quickstart (with --photos DIR: work_dirs/quickstart_<name>); a
# second call reuses what is there, and an interrupted one goes on where it was.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tasks=(noisy low_light)
photos=()
work=work_dirs/quickstart
if (($# == 2)) && [[ $1 == --photos ]]; then
  photos=(--photos "$(cd "$here" && realpath "$2")")
  work=work_dirs/quickstart_$(basename "$2")
elif (($# > 0)); then
  echo "usage: bash tools/quickstart.sh [--photos DIR]" >&2
  exit 2
fi
started=$SECONDS
step() { printf '\n[%s/6, %d min] %s\n' "$1" $(((SECONDS - started) / 60)) "$2"; }

# Runs a command, shows the lines that tell progress, and the end of its log if it fails.
quietly() {
  local name=$1 log="$work/logs/$1.log" status=0
  shift
  mkdir -p "$work/logs"
  "$@" 2>&1 | tee "$log" |
    { grep --line-buffered -oE 'Iter\((train|val|test)\).*' || true; } |
    sed -u -E "s/^(.{0,110}).*/  $name: \1/" || status=$?
  if ((status)); then
    tail -n 25 "$log" >&2
    echo "$name failed; its log: $log" >&2
    return 1
  fi
}

config() { ls configs/mini/quick_*_"$1"_*.py; }

step 1 'installing (the first time about two minutes and 6 GB)'
source tools/setup_env.sh
export OMP_NUM_THREADS=1
python tools/prepare_lpips.py

step 2 'collecting photographs'
python tools/prepare_photos.py "$work/photos" "${photos[@]}"
pairs=$(find "$work/photos/train" -name '*.png' | wc -l)
((pairs > 16)) && pairs=16
folders=()
for split in train val test; do
  folders+=("${split}_dataloader.dataset.folder=$work/photos/$split")
done
logger='default_hooks.logger.interval=200'

step 3 'pre-training: the network learns to predict the noise in noisy photographs'
[[ -f $work/pretrain/iter_3000.pth ]] || OMP_NUM_THREADS=2 quietly pretrain \
  python tools/train.py "$(config pretrain)" --work-dir "$work/pretrain" --resume \
  --cfg-options "${folders[@]:0:2}" "$logger"

step 4 'finding the matching time step of each degradation'
[[ -f $work/timesteps.json ]] || OMP_NUM_THREADS=2 python tools/match_timesteps.py \
  "$work/pretrain" "$work/timesteps.json" --tasks "${tasks[@]}" \
  --photos "$work/photos/train" --num-images 32 --size 96 --shrink 0.5

step 5 'fine-tuning from the pre-trained weights, and from scratch'
fit() { # arm task
  local run="$work/$1_$2" from=()
  [[ $1 == finetune ]] && from=("load_from=$work/pretrain")
  [[ -f $run/iter_1200.pth ]] || quietly "$1 $2" \
    python tools/train.py "$(config "$1_$2")" --work-dir "$run" --resume --cfg-options \
    "${folders[@]}" "train_dataloader.dataset.max_photos=$pairs" \
    "model.timesteps=$work/timesteps.json" "$logger" "${from[@]}"
  [[ -f $run/test/summary.json ]] || quietly "test $1 $2" \
    python tools/test.py "$(config "$1_$2")" "$run" --work-dir "$run/test" \
    --method "$([[ $1 == finetune ]] && echo ours || echo scratch)" \
    --cfg-options "${folders[@]}"
}
for task in "${tasks[@]}"; do
  fit scratch "$task" &
  other=$!
  fit finetune "$task"
  wait "$other"
done

step 6 'results'
runs=()
for task in "${tasks[@]}"; do runs+=("$work/scratch_$task/test" "$work/finetune_$task/test"); done
python tools/summarize.py "$work/summary.json" "${runs[@]}" --timesteps "$work/timesteps.json" \
  --note "scratch: the same network and number of fine-tuning updates (1200), but no pre-training (3000)."
echo
echo "Restore a photograph of your own (add a folder instead of a file for many):"
echo "  python tools/restore.py $work/finetune_noisy PHOTO RESTORED.png"
