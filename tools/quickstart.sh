#!/usr/bin/env bash
# From installation to a table of results: collects photographs, pre-trains a small network, matches
# time steps to noise, rain and low light, fine-tunes, trains the same network from scratch with the
# updates of fine-tuning and with those of both stages, and tests all of them.
#   bash tools/quickstart.sh [--recipe NAME] [--photos DIR]
# NAME is best (the default), paper (preset paper_practical) or released (docs/method.md). Results are
# written to work_dirs/quickstart (with options: work_dirs/quickstart_<recipe>_<name>). A second call
# reuses them, and continues if the first was interrupted.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tasks=(noisy rainy low_light)
photos=()
recipe=best
work=work_dirs/quickstart
usage() { echo "usage: bash tools/quickstart.sh [--recipe best|paper|released] [--photos DIR]" >&2; exit 2; }
while (($# > 0)); do
  (($# >= 2)) || usage
  case $1 in
    --recipe) [[ $2 =~ ^(best|paper|released)$ ]] || usage; recipe=$2 ;;
    --photos)
      photos=(--photos "$(cd "$here" && realpath -m -- "$2")")
      [[ -d ${photos[1]} ]] || { echo "$0: no such folder of photographs: $2" >&2; exit 2; } ;;
    *) usage ;;
  esac
  shift 2
done
[[ $recipe == best ]] || work+=_$recipe
((${#photos[@]} == 0)) || work+=_$(basename "${photos[1]}")
started=$SECONDS
step() { printf '\n[%s/6, %d min] %s\n' "$1" $(((SECONDS - started) / 60)) "$2"; }

# Runs a command, shows its progress, and the end of its log if it fails.
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

# The config of a stage: the recipe's own, or, where it does not differ from best, that of best.
config() {
  local kind=quick-$recipe
  compgen -G "configs/mini/${kind}_dtir-unet-w16_$1_b8-*.py" || ls configs/mini/quick_dtir-unet-w16_"$1"_b8-*.py
}

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

step 3 'pre-training: the network learns to denoise photographs'
[[ -f $work/pretrain/iter_2000.pth ]] || OMP_NUM_THREADS=2 quietly pretrain \
  python tools/train.py "$(config pretrain)" --work-dir "$work/pretrain" --resume \
  --cfg-options "${folders[@]:0:2}" "$logger"

step 4 'matching a time step to each degradation'
[[ -f $work/timesteps.json ]] || OMP_NUM_THREADS=2 python tools/match_timesteps.py \
  "$work/pretrain" "$work/timesteps.json" --tasks "${tasks[@]}" \
  --photos "$work/photos/train" --num-images 32 --size 96 --shrink 0.5

step 5 'fine-tuning, and training from scratch with two budgets'
fit() { # arm task updates
  local run="$work/$1_$2" stage=${1%_equal} method=$1 data=("${folders[@]}") from=() split
  for split in train val test; do data+=("${split}_dataloader.dataset.task=$2"); done
  [[ $1 == finetune ]] && method=ours && from=("load_from=$work/pretrain")
  [[ -f $run/iter_$3.pth ]] || quietly "$1 $2" \
    python tools/train.py "$(config "${stage}_noisy")" --work-dir "$run" --resume \
    --cfg-options "${data[@]}" "train_dataloader.dataset.max_photos=$pairs" \
    "train_cfg.max_iters=$3" "model.timesteps=$work/timesteps.json" "$logger" "${from[@]}"
  [[ -f $run/test/summary.json ]] || quietly "test $1 $2" \
    python tools/test.py "$(config "${stage}_noisy")" "$run" --work-dir "$run/test" \
    --method "$method" --cfg-options "${data[@]}"
}
# Two at a time, the long ones first.
runs=()
for arm in 'scratch_equal 3000' 'finetune 1000' 'scratch 1000'; do
  for task in "${tasks[@]}"; do
    runs+=("$work/${arm% *}_$task/test")
    while (($(jobs -rp | wc -l) >= 2)); do wait -n; done
    fit "${arm% *}" "$task" "${arm#* }" &
  done
done
while (($(jobs -rp | wc -l) > 0)); do wait -n; done

step 6 'results'
python tools/summarize.py "$work/summary.json" "${runs[@]}" --timesteps "$work/timesteps.json" \
  --note "recipe: $recipe, 2000 updates of pre-training and 1000 of fine-tuning" \
  --note 'scratch: the same network, losses and 1000 updates; scratch_equal: with 3000, those of both stages'
echo
echo "Look at the results on one page:"
echo "  dtir-mm report $work --out $work/report"
echo "Restore a photograph of your own (add a folder instead of a file for many):"
echo "  dtir-mm restore PHOTO --checkpoint $work/finetune_noisy"
