"""Fine-tunes PlainResNet for denoising at the time step of Table 4."""

_base_ = [
    '../../configs/_base_/stages/best/finetune.py',
    '../../configs/_base_/datasets/photos_finetune.py',
    '../../configs/_base_/schedules/adam_cosine_mini.py',
    '../../configs/_base_/runtime.py',
]
custom_imports = dict(imports=['plain_resnet'], allow_failed_imports=False)
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(type='PlainResNet', width=24)),
    timesteps='paper',
)
train_dataloader = dict(dataset=dict(task='noisy'))
val_dataloader = dict(dataset=dict(task='noisy'))
test_dataloader = dict(dataset=dict(task='noisy'))
train_cfg = dict(max_iters=1000, val_interval=1000)
precision = 'fp32'
load_from = 'work_dirs/pretrain'
