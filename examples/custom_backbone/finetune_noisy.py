"""Fine-tunes PlainResNet for denoising at the time step of Table 4."""

_base_ = '../../configs/mini/quick_dtir-unet-w16_finetune_noisy_1xb8-1000.py'
custom_imports = dict(imports=['plain_resnet'], allow_failed_imports=False)
model = dict(
    backbone=dict(
        _delete_=True, type='ConditionedBackbone', backbone=dict(type='PlainResNet', width=24)
    ),
    timesteps='paper',
)
load_from = 'work_dirs/pretrain'
