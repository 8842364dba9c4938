"""Setting A, stage 2: fine-tuning on RESIDE-6k, generalization to REVIDE."""

_base_ = [
    '../stages/paper/finetune.py',
    '../datasets/setting_a_hazy.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='paper')
