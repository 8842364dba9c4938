"""Table 9, without fine-tuning: the pre-trained generator restores from t_mat, by SDEdit."""

_base_ = '../setting_a/dtir-unet_finetune_low_light_b16-300k.py'
model = dict(passes='sdedit', step=dict(_delete_=True, objective=dict(type='NoisePrediction')))
