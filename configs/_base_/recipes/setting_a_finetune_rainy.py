"""Setting A, stage 2: fine-tuning on Rain100L, generalization to Rain100H."""

_base_ = [
    '../stages/paper/finetune.py',
    '../datasets/setting_a_rainy.py',
    '../schedules/adam_cosine.py',
]
model = dict(timesteps='paper')
