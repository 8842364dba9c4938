"""Setting A, stage 2: X-Restormer fine-tuned on Rain100L, generalization to Rain100H."""

_base_ = [
    '../_base_/stages/paper/finetune.py',
    '../_base_/datasets/setting_a_rainy.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='XRestormer')),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)
load_from = 'work_dirs/xrestormer_pretrain_rainy_b16-500k'
