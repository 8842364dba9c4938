"""Pilot, without fine-tuning: the pre-trained generator restores from t_mat, by SDEdit."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_1xb16-2500.py'
model = dict(
    _delete_=True,
    type='ZeroShotRestorer',
    inference='sdedit',
    backbone=_base_.model.backbone,
    timesteps=_base_.model.timesteps,
)
