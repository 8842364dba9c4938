"""Setting A, stage 2: fine-tuning on LOL-v1, generalization to LOL-v2."""

_base_ = [
    '../stages/paper/finetune.py',
    '../datasets/setting_a_low_light.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='paper')
