"""Generative pre-training of PlainResNet."""

_base_ = '../../configs/mini/quick_dtir-unet-w16_pretrain_1xb8-2000.py'
custom_imports = dict(imports=['plain_resnet'], allow_failed_imports=False)
model = dict(
    backbone=dict(
        _delete_=True, type='ConditionedBackbone', backbone=dict(type='PlainResNet', width=24)
    )
)
