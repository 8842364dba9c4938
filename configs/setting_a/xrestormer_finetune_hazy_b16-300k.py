"""Setting A, stage 2: X-Restormer fine-tuned on RESIDE-6k, generalization to REVIDE."""

_base_ = [
    '../_base_/stages/paper/finetune.py',
    '../_base_/datasets/setting_a_hazy.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='XRestormer')),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)
load_from = 'work_dirs/xrestormer_pretrain_hazy_b16-500k'
