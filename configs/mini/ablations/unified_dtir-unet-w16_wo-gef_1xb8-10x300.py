"""Ten mini tasks, without fine-tuning: the generator restores from t_mat, by SDEdit."""

_base_ = '../unified_dtir-unet-w16_1xb8-10x300.py'
model = dict(
    _delete_=True,
    type='ZeroShotRestorer',
    inference='sdedit',
    backbone=_base_.backbone,
    timesteps=_base_.model.timesteps,
)
