"""Setting A, stage 1: noise prediction on the clean training images of LOL-v1 alone."""

_base_ = './setting_a_pretrain.py'
train_dataloader = dict(dataset=dict(folder='data/LOL-v1/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/LOL-v1/test/GT'))
