"""Table 10, without fine-tuning: the generator restores from t_mat, by SDEdit."""

_base_ = '../setting_b/dtir-unet_unified_b16-10x100k.py'
model = dict(
    backbone=dict(adapters=None),
    passes='sdedit',
    step=dict(_delete_=True, objective=dict(type='NoisePrediction')),
)
