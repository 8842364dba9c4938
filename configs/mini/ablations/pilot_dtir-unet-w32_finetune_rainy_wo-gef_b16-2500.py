"""Pilot, without fine-tuning: the pre-trained generator restores from t_mat, by SDEdit."""

_base_ = '../pilot_dtir-unet-w32_finetune_rainy_b16-2500.py'
model = dict(passes='sdedit', step=dict(_delete_=True, objective=dict(type='NoisePrediction')))
