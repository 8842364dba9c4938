#!/usr/bin/env bash
# Makes the most of a GPU that is lent for ten minutes: environment, GPU tests, benchmarks, and then
# the released model's training for the time that is left. Prepared once, it runs unattended:
#   tools/gpu_session.sh [--dry-run]       --dry-run only prints the commands
# Environment variables:
#   OUT          folder for the results (work_dirs/gpu_session): a log of each step, restore.json, and
#                the last checkpoint in parts of 15 MB, which `cat checkpoint.part_* > x.pth` joins
#   MINUTES      time for everything (10)
#   WHEELS       folder of wheels to install first, for machines without a network
#   RESUME_FROM  checkpoint to continue the training from
#   OPTIONS      further --cfg-options of the training, such as "global_batch_size=32"
# The training needs data/photos: python tools/prepare_photos.py data/photos --packages all
set -uo pipefail # not -e: a failed step does not stop the others
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-} in
  '' | --dry-run) dry=${1:-} ;;
  *) echo "usage: $0 [--dry-run]" >&2 && exit 2 ;;
esac
out=${OUT:-work_dirs/gpu_session}
end=$((SECONDS + 60 * ${MINUTES:-10}))
work=work_dirs/gpu_session/joint
saving=20 # seconds at the end, for the checkpoint
summary=()

# Runs a command with its output in a log; no longer than given, nor than there is time.
step() { # name seconds command...
  local name=$1 limit=$2 started=$SECONDS status
  shift 2
  ((limit < end - saving - SECONDS)) || limit=$((end - saving - SECONDS))
  if [[ $dry ]]; then
    echo "$name, at most $limit s: $*"
    return
  fi
  if ((limit < 10)); then
    summary+=("$name: no time left")
    return
  fi
  echo "$name, at most $limit s: $*"
  # Ctrl-C first, upon which a training stops; killed if it goes on.
  timeout --signal=INT --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1
  status=$?
  case $status in
    0) status='done' ;;
    124 | 137) status='stopped at its limit' ;;
    *) status="exit status $status" ;;
  esac
  summary+=("$name: $((SECONDS - started)) s, $status")
  echo "  ${summary[-1]}" && tail -n 3 "$out/$name.log"
}

[[ $dry ]] || mkdir -p "$out"
[[ ${WHEELS:-} ]] && step install 90 python -m pip install --no-index --no-deps "$WHEELS"/*.whl
step environment 40 python tools/check_env.py
step gpu_tests 120 python -m pytest -q -m gpu tests
step benchmarks 120 python benchmarks/restore.py --device cuda --cases image folder tiles \
  --json "$out/restore.json"
read -ra options <<<"${OPTIONS:-}"
resume=(--resume ${RESUME_FROM:+"$RESUME_FROM"}) # without a file, what the work directory has
if [[ -d data/photos/train || $dry ]]; then
  step training 600 python tools/train.py configs/release/blind_local-unet_joint_b8-60k.py --amp \
    --work-dir "$work" "${resume[@]}" --cfg-options default_hooks.checkpoint.interval=500 \
    train_dataloader.num_workers="$(nproc)" "${options[@]}"
else
  summary+=('training: no photographs in data/photos')
fi
[[ $dry ]] && exit
# By number: iter_9500.pth comes before iter_10000.pth.
checkpoint=$(find "$work" -maxdepth 1 -name 'iter_*.pth' 2>/dev/null | sort -V | tail -n 1)
if [[ $checkpoint ]]; then
  split --bytes=15M "$checkpoint" "$out/checkpoint.part_"
  summary+=("checkpoint: $checkpoint")
fi
printf '%s\n' "${summary[@]}" | tee "$out/summary.txt"
