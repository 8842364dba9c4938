"""Ten mini tasks, without fine-tuning: the generator restores from t_mat, by SDEdit."""

_base_ = '../unified_dtir-unet-w16_b8-10x300.py'
model = dict(
    backbone=dict(adapters=None),
    passes='sdedit',
    step=dict(_delete_=True, objective=dict(type='NoisePrediction')),
)
