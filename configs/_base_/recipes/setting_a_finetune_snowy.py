"""Setting A, stage 2: fine-tuning on Snow100K, generalization to RealSnow."""

_base_ = [
    '../stages/paper/finetune.py',
    '../datasets/setting_a_snowy.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='paper')
